"""``hereabouts status``: every process of the platform and every website."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hereabouts.cli import support
from hereabouts.errors import PlatformNotRunning

if TYPE_CHECKING:
    from hereabouts.config import Config
    from hereabouts.core.webapp import Observation, Website

_STYLES = {
    "running": "green", "starting": "cyan", "restarting": "yellow", "crashed": "bold red", "stopped": "bold red",
    "disabled": "dim", "sleeping": "blue",
}  # fmt: skip


def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the platform's processes and every website: state, why, uptime, memory."""
    support.need_root("status")
    settings = support.settings()
    support.database(settings)
    from hereabouts.daemons.health import process_list

    found = {"processes": process_list(settings), "websites": _websites(settings)}
    if as_json:
        support.print_json(found)
        return
    now = time.time()
    support.table(
        ["process", "state", "pid", "uptime", "memory"],
        [
            [p["name"], _styled(p["state"]), p["pid"] or "–", _age(p["since"], now), support.memory(p["memory_bytes"])]
            for p in found["processes"]
        ],
    )
    support.table(
        ["website", "account", "state", "since", "memory", "why"],
        [
            [
                w["address"], w["account"], _styled(w["state"]), _age(w["since"], now),
                support.memory(w["memory_bytes"]), _why(w["detail"]),
            ]
            for w in found["websites"]
        ],
        wrap=("why",),
    )  # fmt: skip


def _why(detail: str | None) -> str:
    """The first line of it, and how many more there are."""
    first, *more = (detail or "").splitlines() or [""]
    return f"{first} ({len(more)} more)" if more else first


def _styled(state: str) -> Any:
    return support.coloured(state, _STYLES.get(state, ""))


def _age(since: float | None, now: float) -> str:
    return support.age(since, now) if since else "–"


def _websites(settings: Config) -> list[dict[str, Any]]:
    from hereabouts.control import services
    from hereabouts.control.notices import notice
    from hereabouts.control.store import DjangoStore

    store = DjangoStore()
    observed = store.observations()
    now = time.time()
    notices = {website.pk: notice(website, now) for website in services.websites()}
    memory = _memory(settings)
    rows = []
    for website in sorted(store.websites(), key=lambda website: (website.account.name, website.domain)):
        seen = observed.get(website.id)
        state = _state(website, seen, supervised=memory is not None)
        rows.append(
            {
                "address": settings.site_url(website.domain),
                "domain": website.domain,
                "account": website.account.name,
                "state": state,
                "since": seen.since if seen and memory is not None else None,
                "detail": (seen.detail if seen else None) or _notice(notices.get(website.id), state),
                "memory_bytes": (memory or {}).get(website.id),
            }
        )
    return rows


def _notice(text: str | None, state: str) -> str | None:
    """What is wrong with the names of a website that is otherwise well."""
    return text if state in ("running", "sleeping") else None


def _state(website: Website, seen: Observation | None, *, supervised: bool) -> str:
    """How a website is: as it was last seen, if anybody looks now."""
    if not website.enabled:
        return "disabled"
    if not supervised:
        return "stopped"
    return seen.status.value if seen else "starting"


def _memory(settings: Config) -> dict[int, int] | None:
    """The memory of each website's sandboxes, in bytes; None where the supervisor does not answer."""
    from hereabouts import poke

    try:
        sandboxes = json.loads(poke.ask(settings.supervisor_socket, "status", seconds=5))["sandboxes"]
    except PlatformNotRunning:
        return None
    total: dict[int, int] = {}
    for sandbox in sandboxes:
        total[sandbox["website"]] = total.get(sandbox["website"], 0) + (sandbox["memory_bytes"] or 0)
    return total
