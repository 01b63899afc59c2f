"""Certificates from order to visitor: one order for a name at a time, however many ask for it."""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, TypeVar

from cryptography import x509

from hereabouts.certificates.installer import Installer
from hereabouts.certificates.shown import NotAnswering, shown
from hereabouts.config import Config
from hereabouts.core import pem, renewal
from hereabouts.core.agenda import Agenda
from hereabouts.core.certificate import Certificate, Details, Fault, Kind
from hereabouts.core.store import CertificateStore
from hereabouts.errors import OrderFailed

if TYPE_CHECKING:
    from hereabouts.certificates.acme import Authority

_UNASKED = 4
"""Orders at once that nobody waits for; those that somebody waits for go on beside them."""
_CHECKS = 2
_THREADS = 16
_LEAST_SECONDS = 0.1
_PAUSE_SECONDS = 5.0
_DATABASE_SECONDS = 60.0

_T = TypeVar("_T")

log = logging.getLogger("hereabouts.certificates")


class Read(Protocol):
    """Runs a call to the store in the store's thread."""

    def __call__(self, ask: Callable[[], _T]) -> Awaitable[_T]: ...


class Issuer:
    """Orders, installs and renews. ``check_dns`` raises OrderFailed for a name that does not lead here."""

    def __init__(
        self, config: Config, store: CertificateStore, read: Read, check_dns: Callable[[str], Awaitable[None]]
    ) -> None:
        self.orders: dict[str, asyncio.Task[OrderFailed | None]] = {}
        self._config, self._store, self._read, self._check_dns = config, store, read, check_dns
        self._threads = ThreadPoolExecutor(_THREADS, "orders")
        self._installer = Installer(config, self._in_thread)
        self._known: dict[str, Certificate] = {}
        self._unwritten: dict[str, tuple[Certificate, Certificate]] = {}
        self._last_tick_at = 0.0
        self._again: set[str] = set()
        self._limits: dict[str, OrderFailed] = {}
        self._unasked: set[str] = set()
        self._checks: dict[str, asyncio.Task[None]] = {}
        self._orders_due, self._checks_due = Agenda(), Agenda()
        self._waiting: list[tuple[float, str]] = []
        self._ask_after: dict[str, float] = {}

    @cached_property
    def _authority(self) -> Authority:
        from hereabouts.certificates.acme import Authority  # heavy, and of no use where all is signed for locally

        return Authority(self._config)

    def tick(self, known: Mapping[str, Certificate] | None) -> None:
        """Take over what is wanted now, None: all is as before. Begin what is due."""
        before, now = self._known, time.time()
        if known is not None:
            for name in self._unwritten.keys() - known.keys():
                del self._unwritten[name]
            self._known = {name: self._newest(row) for name, row in known.items()}
        was_set_back = now < self._last_tick_at  # so that what was planned by the clock before may be far away
        self._last_tick_at = now
        if known is not None or was_set_back:
            for name in before.keys() | self._known.keys():
                if was_set_back or before.get(name) != self._known.get(name):
                    self._plan(name)
        self._begin_due()

    async def write_down(self) -> None:
        """Write what the database did not take before, unless somebody has changed it meanwhile."""
        for name, (row, newer) in list(self._unwritten.items()):
            if name in self.orders or name in self._checks:
                continue  # their end is written
            try:
                if await self._read(lambda name=name: self._store.certificate(name)) == row:  # type: ignore[misc]
                    await self._record(row, newer)
                else:
                    self._unwritten.pop(name, None)
            except Exception as error:
                log.debug("The database still takes nothing: %s.", error)
                return

    def _newest(self, row: Certificate) -> Certificate:
        """A row as it should be: failures that could not be written count, else the authority would be asked on end."""
        before, newer = self._unwritten.get(row.name, (row, row))
        if row == before:
            return newer
        del self._unwritten[row.name]
        return row

    def seconds_to_next(self, longest: float) -> float:
        """Until the next order is due, ``longest`` at most: short-lived certificates can't wait for a tick."""
        first, now = self._orders_due.first(), time.time()
        return longest if first is None or first <= now else max(_LEAST_SECONDS, min(first - now, longest))

    async def is_another(self) -> bool:
        """Whether the authority of the settings is not the one that has signed so far."""
        if not (self._config.secret_file.parent / "acme" / "account.json").is_file():
            return False
        return await self._in_thread(lambda: self._authority.is_another())

    async def forget_remains(self) -> None:
        """Drop the orders, with their keys, of names that need none any more."""
        if not (self._config.secret_file.parent / "acme" / "orders").is_dir():
            return
        now, orders = time.time(), self._authority.orders
        for name in await asyncio.to_thread(orders.names):
            certificate = self._known.get(name)
            if certificate and certificate.kind is Kind.ACME and not renewal.is_good(certificate, now):
                continue
            if name not in self.orders:
                orders.forget(name)

    def again(self, name: str) -> None:
        """Try a name now that has failed before: what was wrong has changed."""
        self._again.add(name)
        self._plan(name)
        self._begin_due()

    async def issue(self, name: str) -> OrderFailed | None:
        """See to a certificate that somebody waits for; None once visitors see it, or why there is none."""
        anew = False
        if name not in self.orders:
            certificate = await self._read(lambda: self._store.certificate(name))
            if certificate and certificate.kind is Kind.ACME and renewal.is_good(certificate, time.time()):
                try:
                    if await self._installer.is_shown(certificate):
                        return None
                except NotAnswering:
                    return OrderFailed(Fault.PLATFORM, "There is a certificate, but the ingress does not answer.")
                anew = True
            if self._limited_until(name, now := time.time()) > now:
                return self._limits[name]
        return await asyncio.shield(self._order(name, anew=anew))

    def _order(self, name: str, *, anew: bool = False) -> asyncio.Task[OrderFailed | None]:
        """The name's order, begun unless it is under way; ``anew`` also when there is a good certificate."""
        task = self.orders.get(name)
        if task is None:
            self._limits.pop(name, None)
            task = self.orders[name] = asyncio.create_task(self._run(name, anew=anew))
            task.add_done_callback(lambda _: self._ended(name))
        return task

    def _ended(self, name: str) -> None:
        self.orders.pop(name, None)
        self._unasked.discard(name)
        self._plan(name)
        self._begin_due()

    def _plan(self, name: str) -> None:
        """Note when to see to a name, as far as is known now. What is under way is planned at its end."""
        certificate = self._known.get(name)
        idle = certificate is not None and name not in self.orders
        self._orders_due.put(name, self._order_at(certificate) if certificate and idle else None)
        checked = idle and name not in self._checks
        self._checks_due.put(name, self._check_at(certificate) if certificate and checked else None)

    def _begin_due(self) -> None:
        """Begin orders and checks that are due: new names first, then what ends soonest, a few at a time."""
        now = time.time()
        while name := self._orders_due.take(now):
            held = self._known[name].details if name in self._known else None
            heapq.heappush(self._waiting, (held.not_after if held else 0.0, name))
        while self._waiting and len(self._unasked) < _UNASKED:
            _, name = heapq.heappop(self._waiting)
            if self._is_due(name, now):
                self._unasked.add(name)
                self._order(name)
            else:
                self._plan(name)
        while len(self._checks) < _CHECKS and (name := self._checks_due.take(now)):
            if name in self._known and renewal.is_good(self._known[name], now):
                self._check_soon(name)

    def _is_due(self, name: str, now: float) -> bool:
        certificate = self._known.get(name)
        at = self._order_at(certificate) if certificate and name not in self.orders else None
        return at is not None and at <= now

    def _order_at(self, certificate: Certificate) -> float | None:
        name, now = certificate.name, time.time()
        due = renewal.due_at(certificate, now)
        if due is None:
            return None
        if name in self._again and not renewal.is_good(certificate, now):
            due = 0.0
        return max(due, self._limited_until(name, now))

    def _limited_until(self, name: str, now: float) -> float:
        limit = self._limits.get(name)
        return renewal.credible(limit.retry_at or 0.0, now) if limit else 0.0

    def _check_at(self, certificate: Certificate) -> float | None:
        if certificate.kind is not Kind.ACME or not certificate.details:
            return None
        return renewal.ask_at(certificate, time.time(), self._ask_after.get(certificate.name))

    async def _run(self, name: str, *, anew: bool) -> OrderFailed | None:
        """One order to its end, recorded. A fault of ours is told as such, and does not take others along."""
        certificate = None
        try:
            certificate = await self._wanted(name)
            if name in self._known:
                self._known[name] = certificate
            if not anew and renewal.is_good(certificate, time.time()):
                return None  # an order has just ended that whoever began this one did not know of
            if self._is_early(certificate):
                return OrderFailed(Fault.WAITING, certificate.problem or "The next try is not due yet.")
            details = await self._issue(certificate)
        except OrderFailed as failure:
            if certificate:
                await self._record_failure(certificate, failure)
            return failure
        except Exception as error:
            log.exception("The order for %s failed.", name)
            problem = f"The platform has failed: {error}. Its operator can read why."
            fault = OrderFailed(Fault.PLATFORM, problem, time.time() + _PAUSE_SECONDS)
            if certificate:
                await self._record_failure(certificate, fault)
            else:
                self._limits[name] = fault  # perhaps the database is away
            return fault
        log.info("The certificate for %s is in use, until %s.", name, _day(details.not_after))
        return None

    def _is_early(self, certificate: Certificate) -> bool:
        """Whether nobody asked for this order, and the one before it, which has just failed, was not known of."""
        name = certificate.name
        due = self._order_at(certificate)
        self._again.discard(name)
        return name in self._unasked and due is not None and due > time.time()

    async def _wanted(self, name: str) -> Certificate:
        certificate = await self._read(lambda: self._store.certificate(name))
        if certificate is not None and certificate.kind is Kind.ACME:
            return self._newest(certificate)
        self._authority.orders.forget(name)
        self._known.pop(name, None)
        problem = "has a certificate that was uploaded" if certificate else "is to have no certificate"
        raise OrderFailed(Fault.PLATFORM, f"{name} {problem}, so none is ordered.")

    async def _issue(self, certificate: Certificate) -> Details:
        name = certificate.name
        await self._check_dns(name)
        before = None
        with suppress(NotAnswering):
            if certificate.renew_at:  # it is the authority's
                before = await shown(self._config, name)
        content = await self._in_thread(lambda: self._authority.issue(name, before))
        leaf = x509.load_pem_x509_certificate(content)
        details = pem.details(leaf)
        async with self._installer.alone(name):
            await self._wanted(name)
            await self._installer.install(name, content, details)
            renewed = Certificate(name, Kind.ACME, details, renewal.renew_at(name, details))
            if not await self._record_surely(certificate, renewed):  # the domain went meanwhile
                await self._installer.withdraw(name)
                await self._in_thread(lambda: self._authority.orders.forget(name))
                raise OrderFailed(Fault.PLATFORM, f"{name} was removed while its certificate was being installed.")
        await self._in_thread(lambda: self._authority.orders.forget(name))
        return details

    async def _record(self, before: Certificate, newer: Certificate) -> bool:
        """Keep how it stands, in memory alone where the database does not take it, which then is raised."""
        name = newer.name
        try:
            known = await self._read(lambda: self._store.record_certificate(newer))
            self._unwritten.pop(name, None)
        except Exception:
            row, _ = self._unwritten.get(name, (before, newer))
            self._unwritten[name] = row, newer
            raise
        finally:
            if name in self._known:
                self._known[name] = newer
        return known

    async def _record_surely(self, before: Certificate, newer: Certificate) -> bool:
        """Keep how it stands, also when the database is locked or full for a while."""
        deadline = time.monotonic() + _DATABASE_SECONDS
        while True:
            try:
                return await self._record(before, newer)
            except Exception as error:
                if time.monotonic() > deadline:
                    raise
                log.error("Could not record the certificate of %s: %s. Trying again.", newer.name, error)
                await asyncio.sleep(1)

    async def _record_failure(self, certificate: Certificate, failure: OrderFailed) -> None:
        now, name = time.time(), certificate.name
        failures = certificate.failures + 1
        pause = renewal.pause(name, failures, certificate.details)
        if failure.retry_at:
            failure.retry_at = min(failure.retry_at, now + renewal.LONGEST_LIMIT)
            self._limits[name] = failure
        next_try = max(now + pause, failure.retry_at or 0.0)
        failed = replace(certificate, failures=failures, next_try_at=next_try, problem=failure.problem)
        if name in self._known:
            self._known[name] = failed
        if renewal.must_tell(failed, now) and failed.details:
            log.error(
                "The certificate for %s ends on %s and could not be renewed (%d tries). %s Next try in %.0f s.",
                name, _day(failed.details.not_after), failures, failure.problem, next_try - now,
            )  # fmt: skip
        else:
            log.warning("No certificate for %s: %s Next try in %.0f s.", name, failure.problem, next_try - now)
        try:
            await self._record(certificate, failed)
        except Exception as error:
            log.error("Could not record why %s has no certificate: %s.", name, error)

    def _check_soon(self, name: str) -> None:
        task = self._checks[name] = asyncio.create_task(self._check(name))

        def ended(_: object) -> None:
            self._checks.pop(name, None)
            self._plan(name)
            self._begin_due()

        task.add_done_callback(ended)

    async def _check(self, name: str) -> None:
        """See that visitors get the certificate, and ask the authority when to renew it."""
        try:
            before = await self._read(lambda: self._store.certificate(name))
            found = await shown(self._config, name)
            certificate = await self._read(lambda: self._store.certificate(name))
            if certificate is None or certificate != before or certificate.details is None or name in self.orders:
                self._known.pop(name, None)
                if certificate is not None:  # it has just changed
                    self._known[name] = self._newest(certificate)
                return
            details, certificate, now = certificate.details, self._newest(certificate), time.time()
            if found is None or pem.details(found).fingerprint != details.fingerprint:
                log.warning("Visitors of %s do not see its certificate. Ordering another one.", name)
                await self._record(certificate, replace(certificate, asked_at=now, renew_at=now))
                return
            try:
                window, after = await self._in_thread(lambda: self._authority.window(found))
                renew = renewal.renew_at(name, details, window)
            except OrderFailed as failure:
                log.info("When to renew the certificate for %s could not be asked: %s", name, failure)
                renew, after = certificate.renew_at, None
            if after is not None:
                self._ask_after[name] = after
            await self._record(certificate, replace(certificate, asked_at=now, renew_at=renew))
        except Exception as error:
            log.info("The certificate for %s could not be checked: %s.", name, error)
            if certificate := self._known.get(name):
                self._known[name] = replace(certificate, asked_at=time.time())

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment))
