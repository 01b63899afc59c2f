"""The plan, proved: whatever happens in whatever order, every website comes to rest as it is wanted.

The machine below is the world of one website. Its rules are what users, processes, time and a killed supervisor
do, between any two of the plan's actions; the actions are applied to it as the supervisor applies them. What must
never happen is asserted where an action is applied; that all comes to rest is checked at the end of each run.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hereabouts.core import lifecycle
from hereabouts.core.lifecycle import (
    Action,
    Clear,
    GiveUp,
    Instance,
    Lead,
    Limits,
    Move,
    Phase,
    Publish,
    Route,
    Seen,
    Start,
)
from hereabouts.core.webapp import Account, Health, Status, Website

LIMITS = Limits(start=20, drain=6, stop=3, crash_limit=4, crash_pause=100)
HEALTH = Health("/health", seconds=30)
"""Longer than a start may take."""
ENDING = (Phase.DRAINING, Phase.TERMINATING, Phase.KILLING)


@dataclass
class Process:
    """A process as the machine runs it, and what is written down of it for the next supervisor."""

    generation: int
    boot: float | None
    """Seconds until it accepts; None: never."""
    cure: float | None
    """Seconds after that until its health check is answered well; None: never."""
    stubborn: bool
    """Ends at KILL only."""
    began: float
    alive: bool = True
    reaped: bool = False
    """Its exit was seen; that happens once."""
    told: Phase | None = None
    phase: Phase = Phase.STARTING
    since: float = 0.0

    def accepts(self, now: float) -> bool:
        return self.boot is not None and now >= self.began + self.boot

    def is_well(self, now: float) -> bool:
        return self.boot is not None and self.cure is not None and now >= self.began + self.boot + self.cure


class World(RuleBasedStateMachine):
    """One website, its processes, its route and its supervisor."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.wanted: Website | None = Website(1, "a.example.org", Account("a", 1001), "serve", True, 1)
        self.known = self.wanted  # as the supervisor knows it
        self.seen = Seen()
        self.queue: deque[Action] = deque()
        self.processes: dict[str, Process] = {}
        self.route: Lead | str = Lead.NOWHERE
        self.started = 0
        self.boot: float | None = 1.0
        self.cure: float | None = 0.0
        self.stubborn = False
        self.failing = ""

    # What users do

    def change(self, **changes: object) -> None:
        if self.wanted is not None:
            self.wanted = replace(self.wanted, **changes)  # type: ignore[arg-type]

    @rule(poked=st.booleans())
    def enable(self, poked: bool) -> None:
        if self.wanted is not None and not self.wanted.enabled:
            self.change(enabled=True, generation=self.wanted.generation + 1)
        self.look(poked)

    @rule(poked=st.booleans())
    def disable(self, poked: bool) -> None:
        self.change(enabled=False)
        self.look(poked)

    @rule(
        poked=st.booleans(),
        boot=st.sampled_from([0.0, 1.0, 10.0, 30.0, None]),
        cure=st.sampled_from([0.0, 0.0, 4.0, 25.0, 60.0, None]),
        stubborn=st.booleans(),
    )
    def reload(self, poked: bool, boot: float | None, cure: float | None, stubborn: bool) -> None:
        """A reload, or another command: the next process may be slow, never accept or be well, or ignore TERM."""
        self.boot, self.cure, self.stubborn = boot, cure, stubborn
        if self.wanted is not None:
            self.change(generation=self.wanted.generation + 1)
        self.look(poked)

    @rule(stop_first=st.booleans())
    def set_stop_first(self, stop_first: bool) -> None:
        self.change(stop_first=stop_first)

    @rule(checked=st.booleans())
    def set_health(self, checked: bool) -> None:
        self.change(health=HEALTH if checked else None)

    @precondition(lambda self: self.started > 3)
    @rule(poked=st.booleans())
    def delete(self, poked: bool) -> None:
        self.wanted = None
        self.look(poked)

    @rule()
    def tick(self) -> None:
        """The supervisor reads the database, whatever became of the poke."""
        self.look(True)

    def look(self, poked: bool) -> None:
        if poked and self.known != self.wanted:
            self.known = self.wanted
            self.seen = replace(self.seen, changed_at=self.now)

    # What processes and time do

    @rule(seconds=st.sampled_from([0.1, 0.6, 1.0, 3.0, 5.0, 20.0, 40.0, 120.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.observe()

    @precondition(lambda self: any(process.alive for process in self.processes.values()))
    @rule(data=st.data())
    def exit(self, data: st.DataObject) -> None:
        alive = sorted(name for name, process in self.processes.items() if process.alive)
        self.processes[data.draw(st.sampled_from(alive))].alive = False
        self.observe()

    @rule()
    def go_deaf(self) -> None:
        """Its server takes no connections any more, though its process goes on."""
        serving = self.instance(str(self.seen.lead))
        if serving is not None and serving.phase is Phase.SERVING and not serving.deaf:
            self.failed(serving.generation)
            self.seen = lifecycle.deafened(self.seen, serving.id)

    @rule(idle=st.booleans())
    def drain(self, idle: bool) -> None:
        self.seen = replace(
            self.seen,
            instances=tuple(replace(i, idle=idle) if i.phase is Phase.DRAINING else i for i in self.seen.instances),
        )

    @rule(what=st.sampled_from(["", "start", "publish"]))
    def fail(self, what: str) -> None:
        """The next start or publication fails, as on a full disk."""
        self.failing = what

    def observe(self) -> None:
        """What the supervisor sees at once, in the middle of its actions too: who accepts and who exited."""
        for name, process in self.processes.items():
            if process.told is Phase.KILLING or (process.told is Phase.TERMINATING and not process.stubborn):
                process.alive = False
            instance = self.instance(name)
            if instance is None or process.reaped:
                continue
            if not process.alive:
                process.reaped = True
                if instance.phase in lifecycle.LIVE:
                    served = self.now - instance.since if instance.phase is Phase.SERVING else 0.0
                    self.failed(process.generation, served)
                self.seen = lifecycle.moved(self.seen, name, Phase.ENDED, self.now)
            elif instance.phase in lifecycle.YOUNG:
                self.look_at_start(name, process)

    def look_at_start(self, name: str, process: Process) -> None:
        checked = self.known is not None and self.known.health is not None
        if self.phase(name) is Phase.STARTING and process.accepts(self.now):
            self.seen = lifecycle.moved(self.seen, name, Phase.CHECKING if checked else Phase.READY, self.now)
            process.phase, process.since = (Phase.CHECKING, self.now) if checked else (process.phase, process.since)
        if self.phase(name) is Phase.CHECKING and (process.is_well(self.now) or not checked):
            self.seen = lifecycle.moved(self.seen, name, Phase.READY, self.now)

    def instance(self, name: str) -> Instance | None:
        return next((instance for instance in self.seen.instances if instance.id == name), None)

    def failed(self, generation: int, served: float = 0.0) -> None:
        self.seen = lifecycle.failed(self.seen, generation, "It failed.", self.now, LIMITS, served=served)

    # What the supervisor does

    @rule()
    def act(self) -> None:
        """Apply one action; the rest waits, so that anything may happen in between."""
        if not self.queue:
            self.plan()
        if self.queue:
            self.apply(self.queue.popleft())

    @rule(seconds=st.sampled_from([0.0, 1.0, 3.0, 6.0, 20.0]))
    def act_all(self, seconds: float) -> None:
        """Time passes without anything new; the next plan is made, and waits to be carried out."""
        while self.queue:
            self.apply(self.queue.popleft())
        self.settle()
        self.now += seconds
        self.observe()
        self.plan()

    @rule(half=st.booleans())
    def restart(self, half: bool) -> None:
        """The supervisor is killed, perhaps in the middle of an action, and the next one adopts what runs."""
        if half and self.queue:
            self.apply(self.queue.popleft(), killed=True)
        self.queue.clear()
        self.known = self.wanted
        self.processes = {name: process for name, process in self.processes.items() if process.alive}
        found = tuple(
            lifecycle.adopted(
                Instance(name, process.generation, process.phase, process.since), self.now, routed=self.route == name
            )
            for name, process in self.processes.items()
        )
        lost = isinstance(self.route, str) and self.route not in self.processes
        lead: Lead | str = Lead.WAIT if lost else self.route
        self.route = Lead.NOWHERE if self.wanted is None else lead
        failed = {"failed": self.seen.failed, "failure": "It failed.", "failures": 1} if self.seen.failed else {}
        self.seen = Seen(found, lead, served_once=True, **failed) if found else Seen()  # type: ignore[arg-type]
        if self.wanted is not None:  # it is planned for at once
            self.plan()

    def plan(self) -> None:
        actions = lifecycle.plan(self.known, self.seen, self.now, LIMITS).actions
        if self.known is not None and self.known.stop_first and any(isinstance(action, Start) for action in actions):
            assert all(instance.phase is Phase.ENDED for instance in self.seen.instances), "two at once"
        if any(isinstance(action, Route) for action in actions):
            assert self.may_lead_away(), "visitors are led away from a process that serves"
        self.queue.extend(actions)

    def may_lead_away(self) -> bool:
        """Whether visitors may be led to nobody: none serves, its owner wants that, or it must end before the next."""
        serving = self.instance(str(self.seen.lead))
        if serving is None or serving.phase is not Phase.SERVING or self.known is None or not self.known.enabled:
            return True
        if serving.deaf:
            return True
        return self.known.stop_first and self.known.generation > serving.generation

    def apply(self, action: Action, *, killed: bool = False) -> None:
        """Do what the supervisor does; ``killed`` leaves out what it writes down or signals last."""
        match action:
            case Start(generation):
                self.start(generation, killed)
            case Publish(name):
                self.publish(name, killed)
            case Route(lead):
                self.route = lead
                self.seen = replace(self.seen, lead=lead)
            case Move(name, phase):
                self.move(name, phase, killed)
            case GiveUp(name):
                if self.phase(name) in lifecycle.YOUNG:
                    self.failed(self.processes[name].generation)
                    self.move(name, Phase.TERMINATING, killed)
            case Clear(name):
                assert not self.processes[name].alive, "the remains of a running process were removed"
                assert self.route != name, "visitors were left with a removed socket"
                del self.processes[name]
                self.seen = replace(self.seen, instances=tuple(i for i in self.seen.instances if i.id != name))
        self.observe()

    def start(self, generation: int, killed: bool) -> None:
        if self.failing == "start" or killed:
            self.failing = ""
            self.failed(generation)
            return
        self.started += 1
        name = f"i{self.started}"
        self.processes[name] = Process(generation, self.boot, self.cure, self.stubborn, began=self.now, since=self.now)
        starting = Instance(name, generation, Phase.STARTING, self.now)
        self.seen = replace(self.seen, instances=(*self.seen.instances, starting))

    def publish(self, name: str, killed: bool) -> None:
        process = self.processes[name]
        if self.failing == "publish":
            self.failing = ""
            self.failed(process.generation)
            self.move(name, Phase.TERMINATING, killed)
            return
        self.route = name
        if killed:
            return
        self.seen = lifecycle.published(self.seen, name, self.now)
        process.phase, process.since = Phase.SERVING, self.now

    def move(self, name: str, phase: Phase, killed: bool) -> None:
        process = self.processes[name]
        assert not (process.alive and self.route == name), f"{name} still has visitors and is made {phase}"
        before, self.seen = self.seen, lifecycle.moved(self.seen, name, phase, self.now)
        if self.seen == before:
            return
        process.phase, process.since = phase, self.now
        if not killed:
            process.told = phase

    # What holds at every moment

    @invariant()
    def visitors_are_led_to_one_that_serves(self) -> None:
        if not isinstance(self.route, str):
            return
        routed = self.instance(self.route)
        assert routed is not None
        assert routed.phase in (Phase.SERVING, Phase.READY, Phase.ENDED)
        assert routed.phase is Phase.ENDED or self.processes[self.route].alive

    @invariant()
    def at_most_one_start_at_a_time(self) -> None:
        assert sum(i.phase in lifecycle.COMING for i in self.seen.instances) <= 1

    @invariant()
    def nobody_is_forgotten(self) -> None:
        assert {instance.id for instance in self.seen.instances} == set(self.processes)

    def teardown(self) -> None:
        """The world is quiet: only time passes, and processes do what they do."""
        self.failing = ""
        self.look(True)
        while self.queue:
            self.apply(self.queue.popleft())
        for _ in range(400):
            self.observe()
            self.settle()
            wake_at = lifecycle.plan(self.known, self.seen, self.now, LIMITS).wake_at
            moments = [wake_at] if wake_at is not None else []
            moments += [
                process.began + process.boot
                for name, process in self.processes.items()
                if process.boot is not None and process.alive and self.phase(name) is Phase.STARTING
            ]
            moments += [
                process.began + process.boot + process.cure
                for name, process in self.processes.items()
                if process.boot is not None and process.cure is not None and self.phase(name) is Phase.CHECKING
            ]
            if not moments or (self.hopeless() and self.crashed()):
                break
            self.now = max(self.now, min(moments))
        else:
            raise AssertionError(f"no rest: {self.seen} {self.known}")
        self.check_rest()

    def phase(self, name: str) -> Phase | None:
        instance = self.instance(name)
        return instance.phase if instance else None

    def settle(self) -> None:
        """Plan and apply until nothing is left to do at this moment."""
        for _ in range(30):
            self.plan()
            if not self.queue:
                return
            while self.queue:
                self.apply(self.queue.popleft())
        raise AssertionError(f"an action repeats for ever: {self.seen}")

    def hopeless(self) -> bool:
        """Whether no process of the latest kind will ever accept, and be well, in time."""
        unwell = self.known is not None and self.known.health and (self.cure is None or self.cure > HEALTH.seconds)
        return self.boot is None or self.boot > LIMITS.start or bool(unwell)

    def crashed(self) -> bool:
        """Whether it rests in the pause of a crashed website, with nothing left of its tries."""
        return (
            self.known is not None
            and not self.seen.instances
            and lifecycle.status(self.known, self.seen, LIMITS)[0] is Status.CRASHED
        )

    def check_rest(self) -> None:
        wanted, found = self.known, self.seen
        assert self.route == found.lead
        if wanted is None or not wanted.enabled:
            assert found.instances == ()
            assert self.route is (Lead.NOWHERE if wanted is None else Lead.DISABLED)
            assert lifecycle.settled(wanted, found, 0)
            return
        assert lifecycle.settled(wanted, found, wanted.generation)
        if self.crashed():
            assert self.hopeless()
            assert self.route is Lead.WAIT
            return
        (serving,) = found.instances
        assert (serving.phase, serving.id) == (Phase.SERVING, self.route)
        assert serving.generation == wanted.generation or found.failed >= wanted.generation


World.TestCase.settings = settings(stateful_step_count=40)
TestWorld = World.TestCase
