"""The certificates' loop: reads what is wanted, has it ordered, looks at domains' DNS, answers questions."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from hereabouts import files, poke
from hereabouts.certificates.dns import Dns
from hereabouts.certificates.issuer import Issuer
from hereabouts.certificates.lookups import Lookups
from hereabouts.config import Config
from hereabouts.core.certificate import Fault, Lookup
from hereabouts.core.store import CertificateStore
from hereabouts.errors import OrderFailed, PlatformNotRunning

_TICK_SECONDS = 5.0
_BLIND_SECONDS = 30.0
"""How often everything is read from a database that does not tell whether something has changed."""
_OWN_NAMES_SECONDS = _REMAINS_SECONDS = 3600.0
_LONGEST_WAIT_SECONDS = 3600.0
_WITHDRAW_SECONDS = 10.0

_T = TypeVar("_T")

log = logging.getLogger("hereabouts.certificates")


class CertificatesLoop:
    """Keeps every certificate as the database wants it. The tick is the guarantee, a question saves waiting."""

    def __init__(self, config: Config, store: CertificateStore) -> None:
        self._config, self._store = config, store
        self._database = ThreadPoolExecutor(1, "database")
        self._dns = Dns(config)
        self._issuer = Issuer(config, store, self._read, self._check_dns)
        self._lookups = Lookups(self._dns, self._record_lookup, self._issuer.again)
        self._own_names_at = self._remains_at = 0.0
        self._version: object = None
        self._domains: Mapping[str, int] = {}
        self._begun = asyncio.Event()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Work until TERM or INT. What is under way then goes on with the next process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        with files.lock(self._config.secret_file.parent / "acme" / "lock") as lock:
            if not await self._turn(lock):
                return
            await asyncio.to_thread(_clear, self._config)
            server = await self._listen()
            while not self._stop.is_set():
                await self._tick()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._issuer.seconds_to_next(_TICK_SECONDS)):
                        await self._stop.wait()
            server.close()

    async def _turn(self, lock: Callable[[], bool]) -> bool:
        """Wait until this process is the only one; False when it is to end before."""
        if not lock():
            log.info("Another certificates process is at work. Waiting for its end.")
            while not lock():
                if self._stop.is_set():
                    return False
                await asyncio.sleep(0.2)
        return True

    async def _read(self, ask: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._database, ask)

    async def _tick(self) -> None:
        """Look at everything that is wanted, where something may have changed."""
        try:
            if not self._begun.is_set():
                await self._begin()
            await self._want_own_names()
            version = await self._read(self._store.version) or int(time.monotonic() / _BLIND_SECONDS)
            known = None
            if version != self._version:
                known = {each.name: each for each in await self._read(self._store.certificates)}
                self._domains = await self._read(self._store.custom_domains)
                self._version = version
        except Exception as error:
            log.error("The database does not answer: %s. Certificates stay as they are; trying again.", error)
            return
        self._begun.set()
        self._lookups.tick(self._domains)
        self._issuer.tick(known)
        await self._issuer.write_down()
        await self._forget_remains()

    async def _forget_remains(self) -> None:
        if time.monotonic() < self._remains_at:
            return
        self._remains_at = time.monotonic() + _REMAINS_SECONDS
        try:
            await self._issuer.forget_remains()
        except OSError as error:
            log.error("What is left of former orders could not be removed: %s. Trying again in an hour.", error)

    async def _begin(self) -> None:
        """Have what is wanted agree with the settings in force, which may be others than before."""
        config = self._config
        if await self._issuer.is_another():
            log.info(
                "The authority is now %s. Every certificate of another one is ordered anew.", config.acme_directory
            )
            await self._read(self._store.order_anew)
        settle = partial(
            self._store.settle_own_names, config.platform_hosts, websites=config.site_certificates == "acme"
        )
        for name in await self._read(settle):
            with contextlib.suppress(PlatformNotRunning):  # a supervisor that starts removes it by itself
                await asyncio.to_thread(
                    poke.ask, config.supervisor_socket, f"withdraw {name}", seconds=_WITHDRAW_SECONDS
                )

    async def _want_own_names(self) -> None:
        """Where the authority signs for the platform's names: its host, and what else of its own leads here."""
        config = self._config
        if config.site_certificates != "acme" or time.monotonic() < self._own_names_at:
            return
        await self._read(lambda: self._store.want_certificate(config.host))
        for name in config.platform_hosts - {config.host, config.sandbox_host}:
            if (await self._dns.leads_here(name, None)).leads_here:
                await self._read(partial(self._store.want_certificate, name))
        self._own_names_at = time.monotonic() + _OWN_NAMES_SECONDS

    async def _check_dns(self, name: str) -> None:
        """Raise OrderFailed for a name that surely leads elsewhere; the authority would count such an order."""
        website = await self._read(lambda: self._store.custom_domain(name))
        if website is not None:
            found = await self._lookups.look(name, website)
        elif await self._dns.own_addresses():
            found = await self._dns.leads_here(name, None)
        else:
            return
        if found.leads_here is False:
            raise OrderFailed(Fault.DNS, found.detail or f"{name} does not lead here.")

    async def _record_lookup(self, lookup: Lookup) -> None:
        await self._read(lambda: self._store.record_lookup(lookup))

    async def _listen(self) -> asyncio.AbstractServer:
        path = self._config.certificates_socket
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._answer, str(fresh))
        fresh.chmod(0o600)  # for control, which is the same user, and root
        fresh.replace(path)
        return server

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(10):
                line = await reader.readline()
            answer = await self._reply(line.decode(errors="replace").split())
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (OSError, TimeoutError, ValueError) as error:
            log.debug("A question was not answered: %s", error)
        except Exception as error:
            log.error("A question was not answered: %s", error)
        finally:
            writer.close()

    async def _reply(self, words: list[str]) -> dict[str, object]:
        match words:
            case ["issue", name, seconds]:
                return await self._issue(name, min(float(seconds), _LONGEST_WAIT_SECONDS))
            case ["look", name]:
                website = await self._read(lambda: self._store.custom_domain(name))
                return {"detail": None if website is None else (await self._lookups.look(name, website)).detail}
            case ["proof", name, value]:
                proved, found = await self._dns.proof(name, value)
                return {"proved": proved, "found": found}
            case ["status"]:
                return {"orders": sorted(self._issuer.orders)}
            case _:
                return {"problem": "what"}

    async def _issue(self, name: str, seconds: float) -> dict[str, object]:
        try:
            async with asyncio.timeout(seconds):
                await self._begun.wait()
                failure = await self._issuer.issue(name)
        except TimeoutError:
            return {"status": "waiting"}
        if failure is None:
            return {"status": "done"}
        if failure.kind == Fault.WAITING:
            return {"status": "waiting"}
        return {
            "status": "failed", "kind": failure.kind, "problem": failure.problem, "retry_at": failure.retry_at,
        }  # fmt: skip


def _clear(config: Config) -> None:
    """Make the directories of challenges, which nginx's user reads, without what an earlier process left."""
    shutil.rmtree(config.challenges, ignore_errors=True)
    place = config.challenges / ".well-known" / "acme-challenge"
    for directory in (config.challenges, place.parent, place):
        files.directory(directory, mode=0o755)
