"""Certificates on their way to visitors: handed to the supervisor, which installs them, and seen in a handshake."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol, TypeVar

from hereabouts import files, poke
from hereabouts.certificates.shown import NotAnswering, shown
from hereabouts.config import Config
from hereabouts.core import pem
from hereabouts.core.certificate import Certificate, Details, Fault, file_name, lock_name
from hereabouts.errors import OrderFailed, PlatformNotRunning

_INSTALL_SECONDS = 30.0
_SHOWN_SECONDS = 10.0
_GLANCE_SECONDS = 0.02

_T = TypeVar("_T")


class InThread(Protocol):
    """Runs a call that blocks in a thread."""

    def __call__(self, call: Callable[[], _T]) -> Awaitable[_T]: ...


class Installer:
    """Puts certificates to use and takes them out of it, for one name at a time (``alone``)."""

    def __init__(self, config: Config, in_thread: InThread) -> None:
        self._config, self._in_thread = config, in_thread

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[None]:
        """Meanwhile control neither puts another certificate to use for the name nor removes one."""
        with files.lock(self._config.certificate_locks / lock_name(name)) as lock:
            while not lock():  # noqa: ASYNC110 (another process's lock is no event)
                await asyncio.sleep(_GLANCE_SECONDS)
            yield

    async def install(self, name: str, content: bytes, details: Details) -> None:
        """Hand key and chain to the supervisor, and see that visitors get them. Raises OrderFailed."""
        directory = self._config.offered
        await self._in_thread(lambda: files.replace(directory / file_name(name), content, mode=0o600))
        deadline = time.monotonic() + _INSTALL_SECONDS
        while True:
            try:
                answer = await self._ask(f"install {name}")
                break
            except PlatformNotRunning:  # it is just starting again
                if time.monotonic() > deadline:
                    raise OrderFailed(
                        Fault.PLATFORM,
                        "The certificate is here, but the supervisor, which installs it, does not answer. "
                        "It is installed when the supervisor starts.",
                    ) from None
                await asyncio.sleep(0.2)
        if answer != "done":
            raise OrderFailed(Fault.PLATFORM, f"The certificate could not be installed: {answer.partition(' ')[2]}")
        await self._until_shown(name, details)

    async def withdraw(self, name: str) -> None:
        """Have it shown no more; a supervisor that is away sees to that when it starts."""
        with suppress(PlatformNotRunning):
            await self._ask(f"withdraw {name}")

    async def is_shown(self, certificate: Certificate) -> bool:
        """Whether visitors get this one. Raises NotAnswering."""
        found = await shown(self._config, certificate.name)
        held = certificate.details
        return found is not None and held is not None and pem.details(found).fingerprint == held.fingerprint

    async def _ask(self, question: str) -> str:
        place = self._config.supervisor_socket
        return await self._in_thread(lambda: poke.ask(place, question, seconds=_INSTALL_SECONDS))

    async def _until_shown(self, name: str, details: Details) -> None:
        deadline = time.monotonic() + _SHOWN_SECONDS
        while True:
            seen = "the ingress does not answer"
            with suppress(NotAnswering):
                found = await shown(self._config, name)
                if found is not None and pem.details(found).fingerprint == details.fingerprint:
                    return
                seen = f"visitors see that of {pem.details(found).issuer}" if found else "visitors are refused"
            if time.monotonic() > deadline:
                raise OrderFailed(Fault.PLATFORM, f"The certificate was installed, but {seen}.")
            await asyncio.sleep(0.1)
