"""What control asks of the other processes. A call waits for the answer and keeps no database connection meanwhile."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

from django.conf import settings
from django.db import connection

from hereabouts import poke
from hereabouts.config import Config
from hereabouts.core.certificate import Fault, Listed
from hereabouts.errors import OrderFailed, PlatformNotRunning, SupervisorAway

_INSTALL_SECONDS = 15.0
_LOOK_SECONDS = 3.0
"""A new domain's DNS is looked up before its owner is answered, if that is quick; else a little later."""
_INQUIRE_SECONDS = 5.0
_PROOF_SECONDS = 20.0
_GLANCE_SECONDS = 3.0
_SOON_SECONDS = 30.0
"""When to try again what failed because a process of the platform was away."""
_KINDS = frozenset(fault.value for fault in Fault)


def _config() -> Config:
    config: Config = settings.CONFIG
    return config


def settle(website_id: int, generation: int, seconds: float | None = None) -> bool | None:
    """Poke the supervisor and wait for its answer: True, False when time ran out, None when it is not there.

    ``seconds`` is ``answer_seconds`` where it is not given.
    """
    config = _config()
    connection.close()
    try:
        return poke.settle(
            config.supervisor_socket, website_id, generation, config.answer_seconds if seconds is None else seconds
        )
    except PlatformNotRunning:
        return None


def steps(website_id: int) -> dict[str, Any]:
    """The steps of the website's latest start, as poke.py describes them. Raises SupervisorAway."""
    return _told(f"steps {website_id}", "the steps of the start")


def log(website_id: int, kind: str, offset: int, limit: int) -> dict[str, Any]:
    """A piece of a log, as poke.py describes it. Raises SupervisorAway."""
    return _told(f"log {website_id} {kind} {offset} {limit}", "what is in the log")


def follow(website_id: int, kind: str, offset: int) -> AsyncGenerator[dict[str, Any], None]:
    """Such pieces, as they are written. Raises PlatformNotRunning once the supervisor does not answer."""
    return poke.follow(_config().supervisor_socket, f"follow {website_id} {kind} {offset}")


def _told(line: str, what: str) -> dict[str, Any]:
    connection.close()
    try:
        return poke.inquire(_config().supervisor_socket, line, seconds=_GLANCE_SECONDS)
    except PlatformNotRunning:
        raise SupervisorAway(what=what) from None


def install(name: str) -> None:
    """Have the supervisor put to use what was offered for the name. Raises OrderFailed; then it is not in use."""
    connection.close()
    try:
        answer = poke.ask(_config().supervisor_socket, f"install {name}", seconds=_INSTALL_SECONDS)
    except PlatformNotRunning:
        problem = "The supervisor is not answering, so the certificate could not be put to use. Try again later."
        raise OrderFailed(Fault.PLATFORM, problem, time.time() + _SOON_SECONDS) from None
    if answer != "done":
        reason = answer.removeprefix("refused").strip() or "it gave no reason"
        raise OrderFailed(Fault.PLATFORM, f"The certificate could not be put to use: {reason}")


def withdraw(name: str) -> None:
    """Have the supervisor remove the name's own certificate; one that is away does it when it starts."""
    _hint(lambda config: poke.ask(config.supervisor_socket, f"withdraw {name}", seconds=_INSTALL_SECONDS))


def home(name: str, uid: int) -> None:
    """Have the supervisor make a new account's home."""
    _hint(lambda config: poke.ask(config.supervisor_socket, f"home {name} {uid}", seconds=_INQUIRE_SECONDS))


def health() -> dict[str, Any] | None:
    """How the platform is, as the supervisor sees it (daemons/health.py); None when it does not answer."""
    return _inquire("health")


def certificate_files() -> list[Listed] | None:
    """The certificates that are files and have no row; None when the supervisor does not answer."""
    answer = _inquire("certificates")
    return None if answer is None else [Listed(**each) for each in answer["certificates"]]


def memory() -> dict[int, int]:
    """The memory of each website's sandboxes, in bytes; of none when the supervisor does not answer."""
    total: dict[int, int] = {}
    for sandbox in (_inquire("status") or {"sandboxes": []})["sandboxes"]:
        total[sandbox["website"]] = total.get(sandbox["website"], 0) + (sandbox["memory_bytes"] or 0)
    return total


def _inquire(line: str) -> dict[str, Any] | None:
    connection.close()
    try:
        return poke.inquire(_config().supervisor_socket, line, seconds=_INQUIRE_SECONDS)
    except PlatformNotRunning:
        return None


def look(name: str) -> None:
    """Have the name's DNS looked up and recorded now; without an answer that comes later by itself."""
    _hint(lambda config: poke.inquire(config.certificates_socket, f"look {name}", seconds=_LOOK_SECONDS))


def _hint(call: Callable[[Config], object]) -> None:
    connection.close()
    try:
        call(_config())
    except PlatformNotRunning:
        return


def issue(name: str, seconds: float) -> None:
    """Have the authority's certificate for a name, which is wanted, got and put to use within ``seconds``.

    Raises OrderFailed with its kind.
    """
    connection.close()
    try:
        line = f"issue {name} {seconds:g}"
        answer = poke.inquire(_config().certificates_socket, line, seconds=seconds + 10)
    except PlatformNotRunning:
        problem = "The certificates process is not answering, so no certificate could be ordered. Try again later."
        raise OrderFailed(Fault.PLATFORM, problem, time.time() + _SOON_SECONDS) from None
    match answer:
        case {"status": "done"}:
            return
        case {"status": "failed", "kind": kind, "problem": str(problem)} if kind in _KINDS:
            raise OrderFailed(kind, problem, answer.get("retry_at"))
        case {"status": "waiting"}:
            problem = f"The order for {name} is taking its time. It goes on by itself; look again later."
            raise OrderFailed("waiting", problem, time.time() + _SOON_SECONDS)
    raise OrderFailed(Fault.PLATFORM, "The certificates process gave no answer that could be understood.")


def proof(name: str, value: str) -> tuple[bool, str]:
    """Whether the DNS proves that a name is a caller's; if not, what was found instead, in a sentence."""
    connection.close()
    try:
        answer = poke.inquire(_config().certificates_socket, f"proof {name} {value}", seconds=_PROOF_SECONDS)
    except PlatformNotRunning:
        return False, "The record could not be looked up: the certificates process is not answering. Try again later."
    if answer.get("proved") is True:
        return True, ""
    found = [str(text)[:200] for text in answer.get("found") or []][:5]
    if not found:
        return False, "There is no such TXT record now."
    return False, f"The TXT record there now holds {', '.join(map(repr, found))}."
