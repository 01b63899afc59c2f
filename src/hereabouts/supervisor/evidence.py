"""What is to be seen of an instance that failed, gathered for the sentence that says why."""

from __future__ import annotations

import os
import time
from dataclasses import replace

from hereabouts.config import Config
from hereabouts.core.lifecycle import COMING, Seen
from hereabouts.core.webapp import Observation, Status, socket_path
from hereabouts.supervisor import procfs
from hereabouts.supervisor.diagnosis import Case, Ended, explain_end, explain_loop, explain_silence, explain_so_far
from hereabouts.supervisor.kernel import KernelLog
from hereabouts.supervisor.sandboxed import Sandboxed

_SPARE_BYTES = 64 << 20
"""Memory that a reload leaves free on the machine."""
_NEAR_SECONDS = 40.0
"""What the kernel said of a sandbox is a cause of an end that comes so soon after it: a server of which a worker was
killed may wait for its other workers before it ends, gunicorn for 30 s. Later, the end has a cause of its own."""


def of_end(config: Config, kernel: KernelLog, sandbox: Sandboxed, ended: Ended, *, served: bool) -> str:
    """Why an instance's process ended."""
    since = max(sandbox.record.started, time.monotonic() - _NEAR_SECONDS)
    ended = replace(ended, killed=kernel.killed(sandbox.name, sandbox.pid, since))
    return explain_end(ended, _case(config, kernel, sandbox, since), served=served)


def of_silence(config: Config, kernel: KernelLog, sandbox: Sandboxed, seconds: float) -> str:
    """Why an instance that runs does not serve after so many seconds."""
    since = sandbox.record.started
    case = _case(config, kernel, sandbox, since)
    killed = kernel.killed(sandbox.name, sandbox.pid, since)
    if killed is not None:  # a worker, which its server starts again and again
        return explain_end(Ended(killed=killed), case, served=False)
    listeners = set(procfs.unix_listeners(sandbox.pid))
    own = {socket_path(sandbox.website), sandbox.bound}
    return explain_silence(
        seconds, procfs.tcp_ports(sandbox.pid), sorted(listeners - own), case, listens=bool(own & listeners)
    )


def of_no_room(serving: Sandboxed) -> str | None:
    """Why a second process can't start beside the one that serves; None when it can."""
    needed, free = procfs.memory_bytes(serving.pid), procfs.free_memory_bytes()
    if needed + _SPARE_BYTES <= free:
        return None
    return (
        f"There is not enough memory for a new process beside the old one: that one uses {needed >> 20} MB, and "
        f"{free >> 20} MB are free on the machine. Set stop_first for this website to end the old one first, "
        "or free memory."
    )


def too_early(sandbox: Sandboxed) -> str | None:
    """What seems to be wrong with an instance that is starting, long before its time is up.

    A command that names $DOMAIN_SOCKET will come to it, whatever it opens before, such as a port for metrics.
    """
    listeners, command = procfs.unix_listeners(sandbox.pid), sandbox.record.command
    if "DOMAIN_SOCKET" in command or {socket_path(sandbox.website), sandbox.bound} & set(listeners):
        return None
    ports = procfs.tcp_ports(sandbox.pid)
    named = [path for path in listeners if os.path.basename(path) in command]  # noqa: PTH119 (a name in a table)
    return explain_so_far(ports, named, command) if ports or named else None


def with_loop(seen: Seen, latest: Observation) -> Observation:
    """The observation of a website that fails again and again, with how often, since when and what comes next."""
    if latest.status not in (Status.CRASHED, Status.RESTARTING) or not latest.detail:
        return latest
    trying = any(instance.phase in COMING for instance in seen.instances)
    return replace(latest, detail=in_a_row(seen, latest.detail, trying=trying))


def in_a_row(seen: Seen, reason: str, *, trying: bool = False) -> str:
    """The reason of the latest failure, from the second one in a row on with that; ``trying`` is it again already."""
    if seen.failures < 2:
        return reason
    ahead = time.time() - time.monotonic()  # the plan's clock is not for people
    retry = None if trying else ahead + seen.retry_at
    return explain_loop(reason, seen.failures, ahead + seen.failing_since, retry)


def _case(config: Config, kernel: KernelLog, sandbox: Sandboxed, since: float) -> Case:
    return Case(
        sandbox.record.command,
        sandbox.errors(),
        config.memory_mb,
        config.processes,
        crowded=kernel.rejected(sandbox.name, since),
    )
