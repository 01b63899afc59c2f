"""The audit log: who did what to what, when, from where, by which way.

Whoever lets somebody in says who acts (``act_as``); the functions that change something note it, in the transaction
of the change. Nothing secret is noted: names of settings, never their values.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from hereabouts.control.models import Action, AuditEntry, Way

KEPT_DAYS = 90
KEPT_OF_ACTOR = 20_000
"""The latest of each actor: whoever does much can't push out what others did, and the log stays bounded."""
_PRUNE_EVERY = 100


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: the name of an account, or of a user of the machine; from which address, where there is one."""

    name: str
    way: Way
    address: str = ""


_PLATFORM = Actor("hereabouts", Way.PLATFORM)
_actor: ContextVar[Actor] = ContextVar("actor", default=_PLATFORM)


def act_as(name: str, way: Way, address: str = "") -> None:
    """Say who acts from now on, in this thread or request."""
    _actor.set(Actor(name[:60], way, address[:45]))


def actor() -> Actor:
    """Who acts now."""
    return _actor.get()


def note(action: Action, target: str, detail: str = "") -> None:
    """Write down that the one who acts did this. Call it in the transaction of the change."""
    entry = _entry(action, target, detail)
    entry.save(force_insert=True)
    if entry.pk % _PRUNE_EVERY == 0:
        _prune(entry.actor)


def note_each(action: Action, targets: Sequence[str]) -> None:
    """The same for many targets of one change, in a few statements."""
    AuditEntry.objects.bulk_create([_entry(action, target) for target in targets])
    if len(targets) >= _PRUNE_EVERY:
        _prune(actor().name)


def _entry(action: Action, target: str, detail: str = "") -> AuditEntry:
    who = actor()
    return AuditEntry(
        at=timezone.now(), actor=who.name, action=action, target=target[:260], detail=detail[:200],
        address=who.address, way=who.way,
    )  # fmt: skip


def entries(*, actor: str = "", target: str = "", action: str = "") -> QuerySet[AuditEntry]:
    """What was noted, the latest first: by this actor, of this target or what belongs to it, of these actions.

    ``action`` is one of ``Action``, or the part before its dot.
    """
    found = AuditEntry.objects.order_by("-pk")
    if actor:
        found = found.filter(actor=actor)
    if target:
        found = found.filter(target=target)
    if action:
        found = found.filter(Q(action=action) | Q(action__startswith=f"{action}."))
    return found


def _prune(name: str) -> None:
    AuditEntry.objects.filter(at__lt=timezone.now() - timedelta(days=KEPT_DAYS)).delete()
    own = AuditEntry.objects.filter(actor=name)
    beyond = own.order_by("-pk").values_list("pk", flat=True)[KEPT_OF_ACTOR : KEPT_OF_ACTOR + 1]
    for oldest in list(beyond):
        own.filter(pk__lte=oldest).delete()
