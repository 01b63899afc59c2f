"""What others ask the supervisor: one line there, one line back (poke.py)."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import socket
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import asdict, replace
from typing import Protocol

from hereabouts import files
from hereabouts.config import Config
from hereabouts.core.certificate import Certificate, Listed
from hereabouts.core.webapp import Account, parse_account_name
from hereabouts.errors import CertificateRefused
from hereabouts.sandbox import homes
from hereabouts.supervisor import logs, names, procfs, steps
from hereabouts.supervisor.keeper import Keeper

_LONGEST_HOLD_SECONDS = 3600.0
_TURN_SECONDS = 0.25
"""How long the next visitor waits for one who was told to go and does not."""
_PACE_SECONDS = 0.001
"""Between the visitors who were held: each connects before the next, and a server is not overrun as it begins."""

_GLANCE_SECONDS = 0.08
"""How often a log is looked at while somebody follows it."""
_PIECE_BYTES = 65_536
_LONGEST_PIECE = 4 * _PIECE_BYTES
_CUT_BYTES = 3
"""At most so many bytes at a piece's end may be the beginning of a character, which waits for its rest."""
_BEHIND_BYTES = 4 * _PIECE_BYTES
"""Whoever follows a log and is this far behind is told of its end, not of all between."""

log = logging.getLogger("hereabouts.supervisor")


class Certificates(names.Certificates, Protocol):
    """What else the loop asks of them."""

    def install(self, name: str) -> None:
        """Show the one that was offered for a name. Raises CertificateRefused."""

    def withdraw(self, name: str) -> None:
        """Show the name's own no longer."""

    def take_over(self, names: Collection[str], certified: Collection[Certificate]) -> None:
        """Install what was offered meanwhile for names that have a row; remove what is of no name of a website."""

    def sweep(self, names: Collection[str], certified: Collection[Certificate]) -> None:
        """Remove what is of no name of a website, tell what is lost."""

    def listed(self) -> list[Listed]:
        """The operator's own, and those of the local authority."""

    def look(self, names: Collection[str]) -> None:
        """See to those of all names that websites have, and to what the operator gave."""


class Questions:
    """Answers control, the certificates' process and nginx. ``find`` knows the keeper of a host's website, ``poke``
    looks at what is wanted of a website now."""

    def __init__(
        self,
        config: Config,
        certificates: Certificates,
        keepers: Mapping[int, Keeper],
        find: Callable[[str], Keeper | None],
        poke: Callable[[int], Awaitable[Keeper | None]],
        health: Callable[[], Mapping[str, object]],
    ) -> None:
        self._config, self._certificates, self._keepers = config, certificates, keepers
        self._find, self._poke, self._health = find, poke, health
        self._holding: Counter[int] = Counter()
        """How many visitors are held, by website."""

    async def listen(self) -> asyncio.AbstractServer:
        """Open the supervisor's socket. It is there as long as the returned server is."""
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
            elif words[:1] == ["follow"] and self._trusts(_uid(writer)):
                await self._follow(words, reader, writer)
            else:
                await _say(writer, await self._reply(words, _uid(writer)))
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
        keeper = self._find(host)
        if keeper is None:
            await _say(writer, "nothing")
            return
        left = asyncio.ensure_future(reader.read())
        held = asyncio.ensure_future(self._held(keeper, seconds))
        try:
            await asyncio.wait({left, held}, return_when=asyncio.FIRST_COMPLETED)
            if not held.done():  # he waits no longer
                return
            if held.result() != "go":
                await _say(writer, held.result())
                return
            async with keeper.turns.take(float(since)):
                if left.done():
                    return
                await _say(writer, "go")
                await asyncio.wait({left}, timeout=_TURN_SECONDS)
                await asyncio.sleep(_PACE_SECONDS)
        finally:
            for task in (left, held):
                task.cancel()
            await asyncio.gather(left, held, return_exceptions=True)

    async def _held(self, keeper: Keeper, seconds: float) -> str:
        """The keeper's answer; ``full`` where so many are held that the rest would want for descriptors."""
        number, most = keeper.website.id, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
        if self._holding.total() >= most or self._holding[number] >= most // 4:
            return "full"
        self._holding[number] += 1
        try:
            return await keeper.hold(seconds)
        finally:
            self._holding[number] -= 1
            if not self._holding[number]:
                del self._holding[number]

    async def _reply(self, words: list[str], uid: int) -> str:
        match words:
            case ["settle", website_id, generation, seconds]:
                keeper = await self._poke(int(website_id))
                if keeper is None:
                    return "done"
                return "done" if await keeper.settle(int(generation), float(seconds)) else "waiting"
            case ["install" | "withdraw" | "home" | "steps" | "log" | "follow" | "health" | "certificates", *_] if (
                not self._trusts(uid)
            ):
                return "refused that is not for nginx to ask."
            case ["install", name]:
                try:
                    await asyncio.to_thread(self._certificates.install, name)
                except CertificateRefused as error:
                    return f"refused {error.details['problem']}"
                return "done"
            case ["withdraw", name]:
                await asyncio.to_thread(self._certificates.withdraw, name)
                return "done"
            case ["home", name, given]:
                account = Account(parse_account_name(name), int(given))
                if not 0 < account.uid - self._config.uid_first < self._config.uid_count:
                    raise ValueError(given)
                await asyncio.to_thread(homes.make, self._config, account)
                return "done"
            case ["steps", website_id]:
                keeper = self._keepers.get(int(website_id))
                found, now = keeper.steps if keeper else steps.Steps(), time.monotonic()
                return json.dumps(found.tell(now, time.time() - now))
            case ["log", website_id, kind, offset, limit] if kind in logs.KINDS:
                return _piece(await self._read(int(website_id), kind, int(offset), min(int(limit), _LONGEST_PIECE)))
            case ["health"]:
                return json.dumps(await asyncio.to_thread(self._health))
            case ["certificates"]:
                listed = await asyncio.to_thread(self._certificates.listed)
                return json.dumps({"certificates": [asdict(each) for each in listed]})
            case ["status"]:
                return json.dumps({"sandboxes": await asyncio.to_thread(self._sandboxes)})
            case _:
                return "what"

    def _trusts(self, uid: int) -> bool:
        """Whether it is control who asks, or root: nginx may connect, too."""
        return uid in (0, self._config.control_uid)

    async def _read(self, website_id: int, kind: str, offset: int, limit: int) -> logs.Piece:
        keeper = self._keepers.get(website_id)
        if keeper is None:
            return logs.Piece("", 0, 0, 0)
        return await asyncio.to_thread(logs.read, self._config, keeper.website, kind, offset, limit)

    async def _follow(self, words: list[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer ``follow WEBSITE_ID KIND OFFSET``: a piece at once, then one whenever something was written, until
        whoever asked leaves or the website is deleted."""
        _, given, kind, start = words
        website_id, offset = int(given), int(start)
        if kind not in logs.KINDS:
            raise ValueError(kind)
        gone = asyncio.ensure_future(reader.read())
        try:
            piece = await self._read(website_id, kind, offset, _PIECE_BYTES)
            await _say(writer, _piece(piece))
            while (keeper := self._keepers.get(website_id)) and not gone.done():
                size = logs.size(self._config, keeper.website, kind)
                more = piece.next - piece.offset >= _PIECE_BYTES - _CUT_BYTES
                if size == piece.size and not more:
                    await asyncio.wait({gone}, timeout=_GLANCE_SECONDS)
                    continue
                skipped = size - _PIECE_BYTES - piece.next if size - piece.next > _BEHIND_BYTES else 0
                latest = await self._read(website_id, kind, piece.next + skipped, _PIECE_BYTES)
                piece = replace(latest, skipped=skipped)
                if piece.text or piece.rotated:
                    await _say(writer, _piece(piece))
        finally:
            gone.cancel()

    def _sandboxes(self) -> list[dict[str, object]]:
        return [
            {
                "website": keeper.website.id,
                "instance": instance.id,
                "generation": instance.generation,
                "phase": instance.phase.value,
                "since": time.time() - (time.monotonic() - instance.since),
                "pid": keeper.sandboxes[instance.id].pid,
                "memory_bytes": procfs.memory_bytes(keeper.sandboxes[instance.id].pid),
            }
            for keeper in list(self._keepers.values())
            for instance in keeper.seen.instances
            if instance.id in keeper.sandboxes
        ]


def _piece(piece: logs.Piece) -> str:
    return json.dumps(asdict(piece))


async def _say(writer: asyncio.StreamWriter, answer: str) -> None:
    writer.write(answer.encode() + b"\n")
    await writer.drain()


def _uid(writer: asyncio.StreamWriter) -> int:
    """Who asks, by the kernel's word (SO_PEERCRED in unix(7))."""
    credentials = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", credentials)[1])
