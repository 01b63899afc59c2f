"""What is counted of websites, written down every ten seconds: what nginx counted, and what /proc says.

The files, one a website, are made of records in the places that core/metrics.py gives them, and are written in place:
a record that was not written as a whole is no record. All reading and writing is done by one thread at a time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hereabouts import files
from hereabouts.config import Config
from hereabouts.core import metrics
from hereabouts.core.metrics import COARSE, FINE, RECORD_BYTES, Sample, Traffic
from hereabouts.core.webapp import log_name
from hereabouts.supervisor import procfs
from hereabouts.supervisor.keeper import Keeper

_LATE_SECONDS = 2
"""After the end of an interval, for nginx's workers to have put down what they counted in it."""
_MARGIN_SECONDS = 0.05
"""The clock for people and the one by which we sleep are not the same."""
_LIVELY_SECONDS = 300
"""A website without a process that was visited is written down for so long, so that its rates don't look higher."""
_NGINX_SECONDS = 3.0

log = logging.getLogger("hereabouts.supervisor")


@dataclass(frozen=True, slots=True)
class _Running:
    """A website that has or had processes: the first one of each of its sandboxes, by the instance's name."""

    pids: Mapping[str, int]
    restarts: int


class Metrics:
    """Writes down what is counted. ``keepers`` are the websites by their ids."""

    def __init__(self, config: Config, keepers: Mapping[int, Keeper]) -> None:
        self._config, self._keepers = config, keepers
        self._lock = threading.Lock()
        self._cpu: dict[str, float] = {}
        self._restarts: dict[int, int] = {}
        self._lively: dict[int, int] = {}
        self._done: list[str] = []
        self._begun = False

    async def run(self) -> None:
        """Write down every interval soon after its end, until cancelled."""
        while True:
            await asyncio.sleep(FINE.step - (time.time() - _LATE_SECONDS) % FINE.step + _MARGIN_SECONDS)
            at = FINE.begin(int(time.time()) - _LATE_SECONDS) - FINE.step
            names = {log_name(k.website.domain, number): number for number, k in self._keepers.items()}
            running = {
                number: _Running({name: sandbox.pid for name, sandbox in keeper.sandboxes.items()}, keeper.restarts)
                for number, keeper in self._keepers.items()
                if keeper.sandboxes or keeper.restarts != self._restarts.get(number, 0)
            }
            try:
                await asyncio.to_thread(self._write_down, at, names, running)
            except Exception as error:
                log.error("What was counted of websites could not be written down: %s.", error)

    async def forget(self, website_id: int) -> None:
        """Remove a deleted website's file."""
        await asyncio.to_thread(self._forget, website_id)

    def _forget(self, website_id: int) -> None:
        with self._lock, suppress(OSError):
            self._restarts.pop(website_id, None)
            self._lively.pop(website_id, None)
            (self._config.metrics / str(website_id)).unlink(missing_ok=True)

    def _write_down(self, at: int, names: Mapping[str, int], running: Mapping[int, _Running]) -> None:
        """``names`` are the websites' ids by the names of their logs."""
        with self._lock:
            keys, counted = self._ask()
            used = self._look(running)
            for begin in sorted({*counted, at}):  # before: nobody asked then, or a worker was late
                traffic = {names[name]: found for name, found in counted.get(begin, {}).items() if name in names}
                self._keep(Sample(begin, FINE.step), traffic, used if begin == at else {})
            self._done, self._begun = keys, True

    def _look(self, running: Mapping[int, _Running]) -> dict[int, Sample]:
        """What the websites' processes took since the last time; of those that an earlier supervisor started, nothing
        is known at first."""
        cpu: dict[str, float] = {}
        used: dict[int, Sample] = {}
        for number, site in running.items():
            seconds, memory = 0.0, 0
            for name, pid in site.pids.items():
                cpu[name], resident = procfs.usage(pid)
                seconds += max(0.0, cpu[name] - self._cpu.get(name, 0.0 if self._begun else cpu[name]))
                memory += resident
            restarts = site.restarts - self._restarts.get(number, 0)
            self._restarts[number] = site.restarts
            used[number] = Sample(0, 0, cpu_seconds=seconds, memory_bytes=memory, restarts=restarts)
        self._cpu = cpu
        return used

    def _keep(self, empty: Sample, traffic: Mapping[int, Traffic], used: Mapping[int, Sample]) -> None:
        """Add an interval to the files of the websites that were visited or run, or were visited lately.

        Whatever is wrong with one of them, the others are written: what failed here would be told by nginx again, and
        be added again to those that were written before.
        """
        self._lively.update(dict.fromkeys(traffic, empty.at + _LIVELY_SECONDS))
        self._lively = {number: until for number, until in self._lively.items() if until > empty.at}
        failed: Exception | None = None
        for number in {*traffic, *used, *self._lively}:
            sample = _sample(empty, traffic.get(number), used.get(number))
            try:
                if number in self._keepers:  # else it is deleted by now
                    add(self._config, number, sample, again=not self._begun)
            except Exception as error:  # the disk may be full, or read-only by now
                failed = error
        if failed:
            log.error("What was counted of websites could not be written down: %s.", failed)

    def _ask(self) -> tuple[list[str], Mapping[int, Mapping[str, Traffic]]]:
        """What nginx has counted and was not told to forget; nothing while it is away."""
        try:
            return metrics.parse_counts(_question(self._config.metrics_socket, self._done))
        except OSError:
            return self._done, {}


def _question(path: Path, done: Iterable[str]) -> str:
    """What nginx tells (ingress/metrics.lua), once it forgot the portions that are done. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_NGINX_SECONDS)
        connection.connect(str(path))
        connection.sendall(f"GET /?done={','.join(done)} HTTP/1.0\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            head, _, body = answer.read().partition(b"\r\n\r\n")
    if b" 200 " not in head[:16] or not body.endswith(b".\n"):
        raise OSError("nginx did not tell what it counted")
    return body.decode(errors="replace")


def _sample(empty: Sample, traffic: Traffic | None, used: Sample | None) -> Sample:
    sample = empty
    if traffic:
        sample = replace(
            sample, answers=traffic.answers, bytes_out=traffic.bytes_out, latency=traffic.latency,
            latency_seconds=traffic.latency_seconds, connections=traffic.connections,
        )  # fmt: skip
    if used:
        sample = replace(sample, cpu_seconds=used.cpu_seconds, memory_bytes=used.memory_bytes, restarts=used.restarts)
    return sample


def add(config: Config, website_id: int, sample: Sample, *, again: bool) -> None:
    """Add a sample to a website's file; with ``again`` only if there is none of its interval. Raises OSError."""
    descriptor = os.open(config.metrics / str(website_id), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    try:
        head = os.pread(descriptor, metrics.TOTALS_BYTES, 0)
        if not head:
            os.fchown(descriptor, 0, config.control_uid)
        before = metrics.unpack(os.pread(descriptor, RECORD_BYTES, FINE.place(sample.at)))
        known = before is not None and before.at == sample.at
        if known and again:
            return
        os.pwrite(descriptor, metrics.pack(metrics.joined(FINE, before, sample)), FINE.place(sample.at))
        more = replace(sample, seconds=0) if known else sample
        block = metrics.unpack(os.pread(descriptor, RECORD_BYTES, COARSE.place(sample.at)))
        os.pwrite(descriptor, metrics.pack(metrics.joined(COARSE, block, more)), COARSE.place(sample.at))
        totals = metrics.unpack_totals(head) or metrics.Totals()
        os.pwrite(descriptor, metrics.pack_totals(metrics.added(totals, more)), 0)
    finally:
        os.close(descriptor)


def prepare(config: Config, kept: Collection[int]) -> None:
    """Make the directory, and remove the files of websites that are none of these."""
    files.directory(config.metrics, mode=0o750, owner=(0, config.control_uid))
    for path in config.metrics.iterdir():
        if path.name.isdecimal() and int(path.name) not in kept:
            path.unlink(missing_ok=True)
