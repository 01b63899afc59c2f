"""An instance's life: its states as one enum, what to do next as one pure function.

``plan`` compares what is wanted of a website with what is seen of it and answers with actions; the supervisor
applies them, observes again and asks again, until there is nothing left to do before ``Plan.wake_at``.

Times are in seconds on one clock that never jumps; only an Observation's ``since`` is for people.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from hereabouts.core.webapp import Observation, Status, Website

STABLE_SECONDS = 10.0
"""An instance that served this long was well: its end starts a new count of failures."""
SUPERSEDE_SECONDS = 5.0
"""A start this old gives way when a newer generation is wanted; a younger one that may come up is let finish."""
COALESCE_SECONDS = 0.3
"""Reloads that come while one is being carried out are gathered until none has come for so long."""
DRAIN_GRACE_SECONDS = 0.5
"""Time in which a request that chose the old instance just before the change reaches it."""


RELOAD_FAILED = "The last reload failed: "
"""How the detail of a website begins whose old process serves on."""


class Phase(Enum):
    """The states of an instance, in the order in which it passes them."""

    STARTING = "starting"  # its process runs; nothing accepts on its socket yet
    CHECKING = "checking"  # accepts; its health check is asked until it is answered well
    READY = "ready"  # accepts, not yet routed to
    SERVING = "serving"  # visitors are led to it
    DRAINING = "draining"  # finishes what it serves; gets nothing new
    TERMINATING = "terminating"  # was sent TERM
    KILLING = "killing"  # was sent KILL
    ENDED = "ended"  # its process is gone, its remains are not


_PLACE = {phase: place for place, phase in enumerate(Phase)}
YOUNG = frozenset({Phase.STARTING, Phase.CHECKING})
COMING = YOUNG | {Phase.READY}
LIVE = COMING | {Phase.SERVING}


@dataclass(frozen=True, slots=True)
class Instance:
    """One process of a website. ``since`` is when its phase began; ``idle`` once it holds no connection.

    ``hint`` is what is wrong with it while it starts, as far as can be told before its time is up; ``deaf`` once it
    takes no connections any more, though it serves by its phase.
    """

    id: str
    generation: int
    phase: Phase
    since: float
    idle: bool = False
    hint: str | None = None
    deaf: bool = False


class Lead(Enum):
    """Where visitors are led when no instance serves them."""

    NOWHERE = "nowhere"  # as if the website had never been
    WAIT = "wait"  # hold them: the supervisor knows more
    DISABLED = "disabled"  # its owner switched it off


@dataclass(frozen=True, slots=True)
class Seen:
    """What is seen of one website.

    ``failures`` counts starts and exits gone wrong in a row, from generation ``counted`` on.
    """

    instances: tuple[Instance, ...] = ()
    lead: Lead | str = Lead.NOWHERE
    failures: int = 0
    counted: int = 0
    failing_since: float = 0.0
    """When the first of these failures was."""
    retry_at: float = 0.0
    failed: int = 0
    failure: str | None = None
    served_once: bool = False
    changed_at: float = 0.0
    """When what is wanted last changed."""
    trouble: str | None = None
    """What is wrong with the instance that serves, although it runs."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds, from the configuration."""

    start: float = 60.0
    drain: float = 30.0
    stop: float = 10.0
    hold: float = 30.0
    crash_limit: int = 5
    crash_pause: float = 300.0


@dataclass(frozen=True, slots=True)
class Start:
    """Make and start an instance of this generation."""

    generation: int


@dataclass(frozen=True, slots=True)
class Publish:
    """Lead visitors to this instance from now on."""

    instance: str


@dataclass(frozen=True, slots=True)
class Route:
    """Lead visitors here, since no instance serves them."""

    lead: Lead


@dataclass(frozen=True, slots=True)
class Move:
    """Take the instance into this phase, sending it what belongs to the phase (TERM, KILL)."""

    instance: str
    phase: Phase


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The start, or the health check, took too long: note the failure, with its cause, and end the instance."""

    instance: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Remove what is left of an ended instance."""

    instance: str


Action = Start | Publish | Route | Move | GiveUp | Clear


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, and when to look again at the latest (None: when something happens)."""

    actions: tuple[Action, ...]
    wake_at: float | None = None


def plan(wanted: Website | None, seen: Seen, now: float, limits: Limits) -> Plan:
    """The next actions for one website; ``wanted`` is None once it is deleted. Times are in seconds."""
    enabled = wanted is not None and wanted.enabled
    actions: list[Action] = []
    times: list[float] = []
    if wanted is not None and enabled:
        _raise_up(wanted, seen, now, limits, actions, times)
    else:
        lead = Lead.DISABLED if wanted is not None else Lead.NOWHERE
        if seen.lead is not lead:
            actions.append(Route(lead))
        for instance in seen.instances:
            if instance.phase in COMING:
                actions.append(Move(instance.id, Phase.TERMINATING))
            elif instance.phase is Phase.SERVING:
                actions.append(Move(instance.id, Phase.DRAINING))
    _bring_down(seen, now, _while_held(wanted, seen, limits), actions, times)
    return Plan(tuple(actions), min(times, default=None))


def _raise_up(
    wanted: Website, seen: Seen, now: float, limits: Limits, actions: list[Action], times: list[float]
) -> None:
    serving = [i for i in seen.instances if i.phase is Phase.SERVING]
    ready = [i for i in seen.instances if i.phase is Phase.READY]
    young = [i for i in seen.instances if i.phase in YOUNG]
    if ready:
        newest = max(ready, key=lambda i: i.generation)
        actions.append(Publish(newest.id))
        actions.extend(Move(i.id, Phase.TERMINATING) for i in ready if i is not newest)
        return
    routed = [i for i in serving if i.id == seen.lead and not i.deaf]
    if not routed and seen.lead is not Lead.WAIT:
        actions.append(Route(Lead.WAIT))
    actions.extend(Move(i.id, Phase.TERMINATING if i.deaf else Phase.DRAINING) for i in serving if i not in routed)
    for instance in young:
        deadline = _deadline(instance, wanted, limits)
        if now < deadline:
            times.append(deadline)
        elif instance.generation < wanted.generation:
            actions.append(Move(instance.id, Phase.TERMINATING))
        else:
            actions.append(GiveUp(instance.id))
    if young or (routed and routed[0].generation >= wanted.generation):
        return
    if seen.failed >= wanted.generation:
        if routed:
            return  # the new one did not come up: the old one stays
        if now < seen.retry_at:
            times.append(seen.retry_at)
            return
    if routed and _gathers(routed[0], seen, now):
        times.append(seen.changed_at + COALESCE_SECONDS)
    elif wanted.stop_first and any(i.phase is not Phase.ENDED for i in seen.instances):
        if routed:
            actions.append(Route(Lead.WAIT))
            actions.append(Move(routed[0].id, Phase.DRAINING))
    else:
        actions.append(Start(wanted.generation))


def _deadline(instance: Instance, wanted: Website, limits: Limits) -> float:
    """When the phase of an instance that is not ready yet must be over: the check has its time after the start's."""
    allowed = wanted.health.seconds if instance.phase is Phase.CHECKING and wanted.health else limits.start
    if instance.generation < wanted.generation:
        allowed = min(allowed, 0.0 if instance.hint else SUPERSEDE_SECONDS)
    return instance.since + allowed


def _gathers(routed: Instance, seen: Seen, now: float) -> bool:
    """Whether a reload was just carried out and more may be on their way: then one start serves them all."""
    return now < routed.since + 1.0 and now < seen.changed_at + COALESCE_SECONDS


def _while_held(wanted: Website | None, seen: Seen, limits: Limits) -> Limits:
    """The times for what must end before the next may start. Visitors are held meanwhile: a third of their time is for
    what it still serves, a third for its end, and the last for the start."""
    if wanted is None or not wanted.enabled or not wanted.stop_first or seen.lead is not Lead.WAIT:
        return limits
    return replace(limits, drain=min(limits.drain, limits.hold / 3), stop=min(limits.stop, limits.hold / 3))


def _bring_down(seen: Seen, now: float, limits: Limits, actions: list[Action], times: list[float]) -> None:
    for instance in seen.instances:
        if instance.phase is Phase.DRAINING:
            due = instance.since + (min(DRAIN_GRACE_SECONDS, limits.drain) if instance.idle else limits.drain)
            if now >= due:
                actions.append(Move(instance.id, Phase.TERMINATING))
            else:
                times.append(due)
        elif instance.phase is Phase.TERMINATING:
            due = instance.since + limits.stop
            if now >= due:
                actions.append(Move(instance.id, Phase.KILLING))
            else:
                times.append(due)
        elif instance.phase is Phase.ENDED:
            actions.append(Clear(instance.id))


def moved(seen: Seen, instance_id: str, phase: Phase, now: float) -> Seen:
    """The website with one instance in a later phase. None is entered twice and none again, whatever was planned or
    seen before the one that it is in was known."""
    instances = tuple(
        replace(i, phase=phase, since=now, idle=False, hint=None)
        if i.id == instance_id and _PLACE[i.phase] < _PLACE[phase]
        else i
        for i in seen.instances
    )
    return replace(seen, instances=instances)


def hinted(seen: Seen, instance_id: str, hint: str) -> Seen:
    """The website with what seems to be wrong with an instance that starts."""
    instances = tuple(
        replace(i, hint=hint) if i.id == instance_id and i.phase is Phase.STARTING else i for i in seen.instances
    )
    return replace(seen, instances=instances)


def deafened(seen: Seen, instance_id: str) -> Seen:
    """The website with one instance known to take no connections any more."""
    instances = tuple(
        replace(i, deaf=True) if i.id == instance_id and i.phase is Phase.SERVING else i for i in seen.instances
    )
    return replace(seen, instances=instances)


def idled(seen: Seen, instance_id: str, *, idle: bool) -> Seen:
    """The website with one instance known to hold connections or not."""
    instances = tuple(replace(i, idle=idle) if i.id == instance_id else i for i in seen.instances)
    return replace(seen, instances=instances)


def adopted(noted: Instance, now: float, *, routed: bool) -> Instance:
    """An instance as the next supervisor takes it over, from what the last one ``noted`` of it.

    Where visitors are led counts for more than what was noted. A KILL that was noted may not have been sent,
    if the supervisor was killed just then: it is planned again.
    """
    since = min(noted.since, now)  # of an earlier boot, where the note outlived it
    if routed:
        return replace(noted, phase=Phase.SERVING, since=since)
    if noted.phase is Phase.SERVING:  # was replaced by a newer one, or never got its route
        return replace(noted, phase=Phase.DRAINING, since=now)
    return replace(noted, phase=Phase.TERMINATING if noted.phase is Phase.KILLING else noted.phase, since=since)


def published(seen: Seen, instance_id: str, now: float) -> Seen:
    """The website after visitors were led to this instance: one failure less to remember."""
    seen = moved(seen, instance_id, Phase.SERVING, now)
    instance = next(i for i in seen.instances if i.id == instance_id)
    if instance.phase is Phase.ENDED:
        return replace(seen, lead=instance_id)  # the next plan leads away again
    forget = seen.failed <= instance.generation
    return replace(
        seen,
        lead=instance_id,
        trouble=None,
        served_once=True,
        failed=0 if forget else seen.failed,
        failure=None if forget else seen.failure,
    )


def failed(seen: Seen, generation: int, reason: str, now: float, limits: Limits, *, served: float = 0.0) -> Seen:
    """The website after an instance of ``generation`` failed, having served for ``served`` seconds."""
    fresh = generation > seen.counted
    failures = 1 if served >= STABLE_SECONDS or fresh else seen.failures + 1
    return replace(
        seen,
        failures=failures,
        counted=max(seen.counted, generation),
        failing_since=now if failures == 1 else seen.failing_since,
        failed=max(seen.failed, generation),
        failure=reason,
        retry_at=now + pause(failures, limits),
    )


def pause(failures: int, limits: Limits) -> float:
    """Seconds to wait before the next start: none after the first failure, then growing, 30 s at most."""
    if failures >= limits.crash_limit:
        return limits.crash_pause
    return 0.0 if failures <= 1 else min(0.25 * 2.0 ** min(failures, 20), 30.0)


def status(wanted: Website, seen: Seen, limits: Limits) -> tuple[Status, str | None]:
    """How the website is, and in one sentence why when it is not well."""
    if not wanted.enabled:
        return Status.DISABLED, None
    if any(i.phase is Phase.SERVING and i.id == seen.lead for i in seen.instances):
        return Status.RUNNING, seen.trouble or _of_reload(wanted, seen)
    if seen.failed and seen.failed >= wanted.generation:
        if seen.failures >= limits.crash_limit:
            return Status.CRASHED, seen.failure
        return Status.RESTARTING, seen.failure
    return Status.RESTARTING if seen.served_once else Status.STARTING, _hint(seen, wanted.generation)


def _hint(seen: Seen, generation: int) -> str | None:
    """What is wrong with a start of that generation or a newer one; that of an older one has been mended, maybe."""
    return next((i.hint for i in seen.instances if i.hint and i.generation >= generation), None)


def _of_reload(wanted: Website, seen: Seen) -> str | None:
    """What is to be said of a reload that failed or does not come along, while the old process serves."""
    hint = _hint(seen, wanted.generation)
    if hint:
        return f"The new process does not serve yet: {hint}"
    return f"{RELOAD_FAILED}{seen.failure}" if seen.failed else None


def observation(wanted: Website, seen: Seen, since: float, limits: Limits) -> Observation:
    """What the database is told of the website."""
    how, detail = status(wanted, seen, limits)
    serving = max((i.generation for i in seen.instances if i.id == seen.lead), default=0)
    return Observation(how, since, detail, serving, seen.failed)


def settled(wanted: Website | None, seen: Seen, generation: int) -> bool:
    """Whether a caller who wants ``generation`` in force has an answer: it serves, it failed, or seems to."""
    if wanted is None or not wanted.enabled:
        return not any(i.id == seen.lead for i in seen.instances) and seen.lead in (
            Lead.DISABLED,
            Lead.NOWHERE,
        )
    serving = max((i.generation for i in seen.instances if i.id == seen.lead), default=0)
    return serving >= generation or seen.failed >= generation or _hint(seen, generation) is not None
