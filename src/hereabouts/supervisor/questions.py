"""What control, certificates and nginx ask of the supervisor: one line there, one line back (``hereabouts.poke``)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Protocol

from hereabouts import files
from hereabouts.config import Config
from hereabouts.errors import CertificateRefused
from hereabouts.sandbox import homes
from hereabouts.supervisor.keeper import Keeper

_LONGEST_HOLD_SECONDS = 3600.0
_TURN_SECONDS = 0.25
"""How long the next visitor waits for one who was told to go and does not."""
_PACE_SECONDS = 0.001
"""Between the visitors who were held: each connects before the next, and a server is not overrun as it begins."""

log = logging.getLogger("hereabouts.supervisor")


class Certificates(Protocol):
    """The certificates that nginx shows. Calls block; they come from any thread."""

    def install(self, name: str) -> None:
        """Show the one that was offered for a name. Raises CertificateRefused."""

    def withdraw(self, name: str) -> None:
        """Show the name's own no longer."""


class Questions:
    """Answers them at the supervisor's socket."""

    def __init__(
        self,
        config: Config,
        certificates: Certificates,
        poke: Callable[[int], Awaitable[Keeper | None]],
        keeper: Callable[[str], Keeper | None],
        sandboxes: Callable[[], list[dict[str, object]]],
    ) -> None:
        """``poke`` looks again at a website and returns its keeper, ``keeper`` finds it by a host's name."""
        self._config, self._certificates = config, certificates
        self._poke, self._keeper, self._sandboxes = poke, keeper, sandboxes

    async def listen(self) -> asyncio.AbstractServer:
        """Answer from now on, until the server is closed."""
        path = self._config.supervisor_socket
        gid = homes.nginx_ids(self._config)[1]
        files.directory(path.parent, mode=0o711)
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._answer, str(path))
        os.chown(path, self._config.control_uid, gid)  # control and nginx may ask, nobody else
        path.chmod(0o660)
        return server

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(10):
                line = await reader.readline()
            words = line.decode(errors="replace").split()
            if words[:1] == ["hold"]:
                await self._hold(words, reader, writer)
            else:
                await _say(writer, await self._reply(words))
        except (OSError, TimeoutError, ValueError) as error:
            log.debug("A question was not answered: %s", error)
        except Exception as error:
            log.error("A question was not answered: %s", error)
        finally:
            writer.close()

    async def _hold(self, words: list[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer ``hold HOST SECONDS SINCE``. Of those who may go, one is told after the other: each goes on to the
        website, closing its connection here, before the next is told."""
        _, host, given, since = words
        seconds = min(float(given), _LONGEST_HOLD_SECONDS)
        keeper = self._keeper(host)
        answer = await keeper.hold(seconds) if keeper else "nothing"
        if keeper is None or answer != "go":
            await _say(writer, answer)
            return
        async with keeper.turns.take(float(since)):
            await _say(writer, answer)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TURN_SECONDS):
                    await reader.read()
            await asyncio.sleep(_PACE_SECONDS)

    async def _reply(self, words: list[str]) -> str:
        match words:
            case ["settle", website_id, generation, seconds]:
                keeper = await self._poke(int(website_id))
                if keeper is None:
                    return "done"
                return "done" if await keeper.settle(int(generation), float(seconds)) else "waiting"
            case ["install", name]:
                try:
                    await asyncio.to_thread(self._certificates.install, name)
                except CertificateRefused as error:
                    return f"refused {error.details['problem']}"
                return "done"
            case ["withdraw", name]:
                await asyncio.to_thread(self._certificates.withdraw, name)
                return "done"
            case ["status"]:
                return json.dumps({"sandboxes": await asyncio.to_thread(self._sandboxes)})
            case _:
                return "what"


async def _say(writer: asyncio.StreamWriter, answer: str) -> None:
    writer.write(answer.encode() + b"\n")
    await writer.drain()
