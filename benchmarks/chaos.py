"""Chaos: kill the platform's processes and its sites at random moments, under traffic, and see whether it recovers.

``make chaos SECONDS=600 SEED=1``. After every blow the platform has five seconds, counted from the moment that
its processes run again, to be as the database wants it. Then nothing may be left over, every change must have come
through, and no visitor may have failed whose request was not under way when its process was killed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import select
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import requests
from rich.console import Console
from rich.table import Table
from tests.platform import Account, Platform, platform

from benchmarks import remains
from benchmarks.report import Row
from benchmarks.stage import Stage
from benchmarks.witnesses import Blow, Visits, told
from hereabouts.core.lifecycle import RELOAD_FAILED
from hereabouts.daemons import health, processes, record
from hereabouts.sandbox import runtime

CONVERGE_SECONDS = 5.0
SITES: dict[str, dict[str, object]] = {"one": {}, "two": {"health_path": "/"}, "three": {"stop_first": True}}
"""What is set for each of them: their new processes come up in different ways."""
APP = """\
import os
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = b"", scope["method"] == "POST"
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    size = b"%d" % (len(body) or 2)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", size)]})
    await send({"type": "http.response.body", "body": body or b"ok"})
"""
COMMAND = "/home/demo/.virtualenvs/fast_venv/bin/uvicorn --log-level warning --uds $DOMAIN_SOCKET chaos:app"


class Chaos:
    """One run against one platform. ``ids`` are the numbers of its websites by their domains."""

    def __init__(self, made: Platform, account: Account, seed: int) -> None:
        self.platform, self.account, self.config = made, account, made.config
        self.seed, self.random = seed, random.Random(seed)
        self.visits, self.blows = Visits(), list[Blow]()
        self.done = Counter[str]()
        self.late: list[str] = []
        self.left: list[str] = []
        self.slowest = 0.0
        self.ids: dict[str, int] = {}
        self._mounts = remains.mounts(made.config)

    @property
    def domains(self) -> list[str]:
        return list(self.ids)

    # Blows: each makes its choices by a source of its own, since two may fall at once

    def strike(self, pid: int, what: str, domain: str = "") -> None:
        """KILL one process and see it gone; one that had ended already is no blow."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            began = time.monotonic()
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            select.select([descriptor], [], [], 30)
            self.blows.append(Blow(began, time.monotonic(), what, domain))
        except ProcessLookupError:
            return
        finally:
            os.close(descriptor)

    def kill(self, name: str, chance: random.Random) -> None:
        """KILL one of the platform's processes."""
        found = record.running(self.config).get(name)
        if found:
            self.strike(found.pid, name, "*" if name == "nginx" else "")

    def kill_worker(self, chance: random.Random) -> None:
        """KILL one of nginx's workers: whose requests were in it nobody knows."""
        leader = record.running(self.config).get("nginx")
        workers = list(processes.session_members(leader)) if leader else []
        if workers:
            self.strike(chance.choice(workers).pid, "worker", "*")

    def kill_site(self, chance: random.Random) -> None:
        """KILL process 1 of a site."""
        domain = chance.choice(self.domains)
        for path in self.config.instances.glob(f"{self.ids[domain]}-*/pid"):
            with contextlib.suppress(OSError, ValueError):
                pid = int(path.read_text())
                if runtime.owns(self.config, path.parent.name, pid):
                    self.strike(pid, "site", domain)

    def kill_up(self, chance: random.Random) -> None:
        """KILL the foreground parent, and start it again."""
        self.kill("up", chance)
        self.up_again()

    def up_again(self) -> None:
        """Start `up` anew, as its operator or systemd does."""
        assert self.platform.process
        self.platform.process.wait(10)
        self.platform.start(90)

    def nobody_looks_after_it(self, chance: random.Random) -> None:
        """`up` is dead for three seconds, in which others die: sites go on."""
        self.kill("up", chance)
        for blow in chance.sample([partial(self.kill, name) for name in _BEHIND] + [self.kill_site] * 2, 3):
            blow(chance)
            time.sleep(1)
        self.up_again()

    def two_at_once(self, chance: random.Random) -> None:
        """Two blows, of different kinds, at the same moment."""
        kinds = [*(partial(self.kill, name) for name in (*_BEHIND, "nginx")), self.kill_worker, self.kill_site]
        both = [
            threading.Thread(target=blow, args=(random.Random(chance.random()),)) for blow in chance.sample(kinds, 2)
        ]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()

    # Changes: what was lost with the process that was to carry it out is repeated, as any client's would be

    def change(self, method: str, path: str, **kwargs: object) -> int:
        """An API call; its answer's code. 0 when it was lost, 202 when it is stored and will be carried out."""
        try:
            answer = self.account.call(method, path, **kwargs)
        except requests.RequestException:
            return 0
        return 202 if '"reload_pending"' in answer.text else answer.status_code

    def insist(self, codes: set[int], method: str, path: str, **kwargs: object) -> None:
        """The same until it is answered with one of these codes; what is not in 20 s is noted."""
        answers: list[int] = []

        def answered() -> bool:
            answers.append(self.change(method, path, **kwargs))
            return answers[-1] in codes

        if not self.wait(answered, 20):
            self.late.append(f"{method} {path} {kwargs or ''} did not come through: {answers}")

    def reload(self, chance: random.Random) -> None:
        """Reload a site. (A reload that is pending is not repeated: that would be another one.)"""
        self.insist({200, 202}, "POST", f"{chance.choice(self.domains)}/reload/")

    def switch(self, chance: random.Random) -> None:
        """Disable a site and enable it again."""
        domain = chance.choice(self.domains)
        self.visits.off.add(domain)
        self.insist({200}, "PATCH", f"{domain}/", json={"enabled": False})
        self.insist({200}, "PATCH", f"{domain}/", json={"enabled": True})
        if not self.wait(lambda: self.serves(domain), 20):
            self.late.append(f"{domain} was enabled and does not serve")
        self.visits.off.discard(domain)

    def come_and_go(self, chance: random.Random) -> None:
        """Create a site and delete it."""
        domain = f"x{chance.randrange(10**6)}-demo.localhost"
        body = {"domain_name": domain, "webapp": {"command": COMMAND}}
        self.insist({201, 400}, "POST", "", json=body)  # 400: it was created, and that answer was lost
        self.insist({204, 404}, "DELETE", f"{domain}/")

    # Acts

    def during(self, change: Callable[[], object], blow: Callable[[], object]) -> threading.Thread:
        """A blow at a random moment of a change, which may go on."""
        changing = threading.Thread(target=change)
        changing.start()
        time.sleep(self.random.random() * 0.5)
        blow()
        return changing

    def step(self) -> None:
        """One random act, and what must be true some seconds later."""
        blows: dict[str, Callable[[random.Random], None]] = {
            **{f"kill {name}": partial(self.kill, name) for name in (*_BEHIND, "nginx")},
            "kill nginx worker": self.kill_worker, "kill site": self.kill_site, "kill up": self.kill_up,
            "kill others while up is dead": self.nobody_looks_after_it, "two kills at once": self.two_at_once,
        }  # fmt: skip
        changes = {"reload": self.reload, "disable and enable": self.switch, "create and delete": self.come_and_go}
        name, kind = self.random.choice(list(blows.items()))
        blow = partial(kind, random.Random(self.random.random()))
        changing = None
        if self.random.random() < 0.6:
            during, change = self.random.choice(list(changes.items()))
            name = f"{name} during {during}"
            changing = self.during(partial(change, random.Random(self.random.random())), blow)
        else:
            blow()
        self.done[name] += 1
        self.recover(name, changing)

    def recover(self, name: str, changing: threading.Thread | None) -> None:
        """Wait until all is well again, and note what took too long."""
        if not self.wait(self.complete, 60):
            self.late.append(f"{name}: {sorted(record.running(self.config))} alone run after 60 s")
            return
        began = time.monotonic()
        if not self.wait(lambda: not (changing and changing.is_alive()) and self.converged(), 60):
            with contextlib.suppress(requests.RequestException, ValueError, TypeError, KeyError):
                states = {site["domain_name"]: site["state"] for site in self.account.call("GET").json()}
                name += f" {states}"
            self.late.append(f"{name}: not within 60 s {self.left}")
            return
        took = time.monotonic() - began
        self.slowest = max(self.slowest, took)
        if took > CONVERGE_SECONDS:
            self.late.append(f"{name}: {took:.1f} s")

    # What must be true

    def complete(self) -> bool:
        """Whether every process of the platform runs."""
        return set(record.running(self.config)) == set(health.PROCESSES)

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(requests.RequestException, OSError, KeyError, ValueError, sqlite3.Error):
                if condition():
                    return True
            time.sleep(0.05)
        return False

    def serves(self, domain: str) -> bool:
        return self.platform.visit(domain, timeout=5).status_code == 200

    def converged(self) -> bool:
        """Every site serves and says so, and nothing is left over."""
        answer = self.account.call("GET")
        if answer.status_code != 200:
            return False
        websites = answer.json()
        mine = {site["domain_name"]: site for site in websites}
        if any(mine[domain]["state"]["status"] != "running" or not self.serves(domain) for domain in self.domains):
            return False
        self.left = self.leftovers({site["id"] for site in websites}, set(mine))
        return not self.left and self.up_to_date({domain: site["state"]["detail"] for domain, site in mine.items()})

    def up_to_date(self, details: dict[str, str | None]) -> bool:
        """Whether visitors are led to the generation of each site that the database wants.

        But for one whose new process was killed as it started, while the old one lived: its owner is told that.
        """
        with contextlib.closing(sqlite3.connect(f"file:{self.config.sqlite_file}?mode=ro", uri=True)) as database:
            wanted = dict(database.execute("SELECT id, generation FROM control_website").fetchall())
        routes = {domain: str((self.config.routes / domain).readlink()) for domain in self.domains}
        return all(
            routes[domain].startswith(f"{number}-{wanted[number]}-") or details[domain] == _KILLED
            for domain, number in self.ids.items()
        )

    def leftovers(self, wanted: set[int], domains: set[str]) -> list[str]:
        """What is there that belongs to none of these websites."""
        return remains.leftovers(self.config, wanted, domains, self._mounts)

    def well(self) -> bool:
        """Whether it recovered every time, and no failure is without a cause."""
        return not self.visits.unexplained(self.blows) and not self.late and not self.left


_KILLED = f"{RELOAD_FAILED}It was ended by signal 9 (SIGKILL)."
_BEHIND = ("supervisor", "control", "certificates")
"""The processes that no visitor's request goes through."""


def play(seconds: float, seed: int) -> Chaos:
    """One run on a platform of its own."""
    with platform(CRASH_LIMIT="10", HOLD_SECONDS="30", START_SECONDS="60") as made:
        account = Account(made, "demo", made.cli("token", "create", "demo").stdout.strip())
        account.write("chaos.py", APP)
        chaos = Chaos(made, account, seed)
        for name, settings in SITES.items():
            domain = f"{name}-demo.localhost"
            chaos.ids[domain] = account.create("", domain, webapp={"command": COMMAND, **settings})["id"]
        with chaos.visits.coming(made.http, chaos.domains, seed):
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                chaos.step()
        return chaos


def run(stage: Stage) -> list[Row]:
    """Three runs of ten minutes, each by its own seed; quick ones of a minute."""
    rows = []
    for seed in (1, 2, 3):
        stage.say(f"Chaos, seed {seed}")
        chaos = play(60 if stage.quick else 600, seed)
        show(Console(stderr=True), chaos)
        unexplained = len(chaos.visits.unexplained(chaos.blows))
        rows.append(
            Row(
                f"chaos, seed {seed}: {sum(chaos.done.values())} acts of killing under traffic; the slowest recovery",
                f"{chaos.slowest:.1f} s; {chaos.visits.good:,} visits answered, {len(chaos.visits.bad)} failed, "
                f"{unexplained} of them not in a killed process; {len(chaos.late)} late, {len(chaos.left)} left over",
                "",
                "",
                f"≤ {CONVERGE_SECONDS:g} s, none, none, none",
                chaos.well(),
            )
        )
    return rows


def show(console: Console, chaos: Chaos) -> None:
    """Print what was done, what visitors saw and what did not recover."""
    table = Table("what was done", "times", title=f"Chaos, seed {chaos.seed}")
    for name, count in sorted(chaos.done.items()):
        table.add_row(name, str(count))
    console.print(table)
    visits = chaos.visits
    unexplained = visits.unexplained(chaos.blows)
    console.print(f"{visits.good:,} visits answered, the slowest after {visits.slowest:.1f} s")
    console.print(f"{len(visits.bad)} failed, {len(unexplained)} of them outside a process that was killed")
    for line in [*told(unexplained, chaos.blows), *chaos.late, *chaos.left]:
        console.print(f"  {line}", markup=False)
    if chaos.well():
        console.print(f"Recovered every time, the slowest after {chaos.slowest:.1f} s.")
    else:
        console.print("[red]Something did not recover.[/]")


def main() -> int:
    """Read the command line; 0 when all is well."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    chaos = play(given.seconds, given.seed)
    show(Console(), chaos)
    return 0 if chaos.well() else 1


if __name__ == "__main__":
    sys.exit(main())
