"""Asking the supervisor and the certificates process: one line there, one line back, over a unix socket of each.

The supervisor:

=========================================  ===========================================================
line                                       answer
=========================================  ===========================================================
``settle WEBSITE_ID GENERATION SECONDS``   ``done`` once that generation serves, failed to come up, or the
                                           website is off or gone; ``waiting`` when the time is up
``hold HOST SECONDS SINCE``                ``go`` once the host's website serves and it is the caller's turn, which
                                           lasts until he closes the connection (``SINCE``: when his visitor
                                           came, by which the turns go); ``down`` when it will not serve soon;
                                           ``nothing`` when nobody has that name
``install NAME``                           ``done`` once the certificate that was offered for the name is the one
                                           that visitors see; ``refused REASON``
``withdraw NAME``                          ``done`` once the name's certificate, not the local authority's, is gone
``status``                                 one line of JSON: the sandboxes with process id, memory, phase
=========================================  ===========================================================

The certificates process, whose answers are each one line of JSON:

=========================================  ===========================================================
line                                       answer
=========================================  ===========================================================
``issue NAME SECONDS``                     ``{"status": "done"}`` once visitors see the authority's certificate;
                                           ``{"status": "failed", "kind", "problem", "retry_at"}``, the kind being
                                           ``dns``, ``authority``, ``limit``, ``unreachable`` or ``platform``;
                                           ``{"status": "waiting"}`` when the time is up
``look NAME``                              ``{"detail"}``: what is wrong with a custom domain's DNS as it is now, what
                                           is expected and which record to create; null when it leads here
``proof NAME VALUE``                       ``{"proved", "found"}``: whether the TXT record
                                           ``_hereabouts-challenge.NAME`` holds the value; what it holds
``status``                                 ``{"orders"}``: the names whose orders are under way
=========================================  ===========================================================
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hereabouts.errors import PlatformNotRunning


def ask(path: Path, line: str, *, seconds: float) -> str:
    """Send one line to a process and return its answer, waiting ``seconds`` at the longest.

    Raises PlatformNotRunning when nobody answers.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connection.connect(str(path))
            connection.sendall(line.encode() + b"\n")
            with connection.makefile("rb") as answers:
                answer = answers.readline()
    except OSError as error:
        raise PlatformNotRunning(path=path) from error
    if not answer.endswith(b"\n"):
        raise PlatformNotRunning(path=path)
    return answer.decode().rstrip("\n")


def settle(path: Path, website_id: int, generation: int, seconds: float) -> bool:
    """Poke the supervisor and wait until the generation serves or failed; False when time ran out."""
    line = f"settle {website_id} {generation} {seconds:g}"
    return ask(path, line, seconds=seconds + 5) == "done"


@dataclass(frozen=True, slots=True)
class Issued:
    """How an order for a certificate ended: ``done``, ``failed`` or ``waiting`` still.

    Of one that failed: whose it is to mend, the words for its owner, and from when on (seconds since the epoch) the
    authority takes another order, None where it named no time.
    """

    status: str
    kind: str = ""
    problem: str = ""
    retry_at: float | None = None


def issue(path: Path, name: str, seconds: float) -> Issued:
    """Have the authority's certificate for a name ordered, and wait until visitors see it, ``seconds`` at the longest.

    Raises PlatformNotRunning.
    """
    return Issued(**_told(path, f"issue {name} {seconds:g}", seconds + 5))


def look(path: Path, name: str) -> str | None:
    """What is wrong with a custom domain's DNS now; None when it leads here. Raises PlatformNotRunning."""
    detail: str | None = _told(path, f"look {name}", 30)["detail"]
    return detail


def proof(path: Path, name: str, value: str) -> tuple[bool, list[str]]:
    """Whether the TXT record that proves whose a name is holds a value; what it holds. Raises PlatformNotRunning."""
    answer = _told(path, f"proof {name} {value}", 30)
    return answer["proved"], answer["found"]


def _told(path: Path, line: str, seconds: float) -> dict[str, Any]:
    """One answer of the certificates process."""
    answer: dict[str, Any] = json.loads(ask(path, line, seconds=seconds))
    return answer
