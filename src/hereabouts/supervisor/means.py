"""What every keeper shares, and the times by which it plans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hereabouts.config import Config
from hereabouts.core.lifecycle import Limits
from hereabouts.sandbox.network import Spare
from hereabouts.supervisor.kernel import KernelLog
from hereabouts.supervisor.names import Certificates
from hereabouts.supervisor.records import Records
from hereabouts.supervisor.starts import StartQueue


@dataclass(frozen=True)
class Means:
    """What every keeper shares."""

    config: Config
    secret: bytes
    seccomp: dict[str, Any] | None
    networks: Spare
    starts: StartQueue
    kernel: KernelLog
    records: Records
    owner: Callable[[str], int | None]
    """The id of the website that has a name now."""
    certificates: Certificates


def limits(config: Config) -> Limits:
    """The plan's times, from the settings."""
    return Limits(
        start=config.start_seconds,
        drain=config.drain_seconds,
        stop=config.stop_seconds,
        hold=config.hold_seconds,
        crash_limit=config.crash_limit,
        crash_pause=config.crash_pause_seconds,
    )
