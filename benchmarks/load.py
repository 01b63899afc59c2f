"""Load on a server of this machine, by wrk: every loop ends after a given time."""

from __future__ import annotations

import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import program

_SCRIPT = Path(__file__).with_name("load.lua")
_LONGEST_SECONDS = 240


@dataclass(frozen=True, slots=True)
class Result:
    """What the clients saw. Times are in milliseconds."""

    requests: int
    seconds: float
    refused: int
    """Answers with a status of 400 or more."""
    broken: int
    """Connections that could not be made, were cut, or had no answer in time."""
    p50: float
    p99: float
    longest: float

    @property
    def failed(self) -> int:
        return self.refused + self.broken

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


class Load:
    """Keep-alive clients that send their next request when the last one was answered."""

    def __init__(
        self,
        port: int,
        host: str,
        *,
        clients: int,
        seconds: float,
        mixed: bool = False,
        secure: bool = False,
    ) -> None:
        self._process = subprocess.Popen(
            [
                program("wrk"), "-t1", f"-c{clients}", f"-d{round(min(seconds, _LONGEST_SECONDS))}s",
                "--timeout", "30s", "-H", f"Host: {host}", "-s", str(_SCRIPT), f"http{'s' if secure else ''}://127.0.0.1:{port}/",
                "--", *(["mixed"] if mixed else []),
            ],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def stop(self) -> Result:
        """End it early."""
        self._process.send_signal(signal.SIGINT)
        return self.result()

    def result(self) -> Result:
        """Wait for its end."""
        out, _ = self._process.communicate(timeout=_LONGEST_SECONDS + 60)
        found = re.search(r"^RESULT ([\d ]+)$", out, re.MULTILINE)
        if not found:
            raise RuntimeError(f"wrk: {out.strip()}")
        requests, micros, refused, connect, read, write, late, p50, p99, longest = map(int, found[1].split())
        broken = connect + read + write + late
        return Result(requests, micros / 1e6, refused, broken, p50 / 1e3, p99 / 1e3, longest / 1e3)


def run(port: int, host: str, *, clients: int, seconds: float, secure: bool = False) -> Result:
    """GETs from so many clients for so long; every one must succeed."""
    result = Load(port, host, clients=clients, seconds=seconds, secure=secure).result()
    if result.failed or not result.requests:
        raise RuntimeError(f"{result.failed} of {result.requests} requests to {host} on port {port} failed: {result}")
    return result
