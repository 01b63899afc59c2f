"""Chaos: kill the platform's processes and its sites at random moments, under traffic, and see whether it recovers.

``make chaos SECONDS=600 SEED=1``. After every blow the platform has five seconds, counted from the moment that
its processes are started again, to be as the database wants it; then nothing may be left over, and no visitor may
have failed whose request was not inside a process that was killed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import requests
from rich.console import Console
from rich.table import Table
from tests.platform import Account, Platform, platform

from hereabouts.daemons import processes

CONVERGE_SECONDS = 5.0
VISITORS = 6
SITES = ("one", "two", "three")
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


@dataclass
class Visits:
    """What visitors saw: answers, and failures with the time they spanned."""

    good: int = 0
    slowest: float = 0.0
    bad: list[tuple[float, float, str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Blow:
    """Something that was killed: when, what, and the domain whose requests were inside it (all for nginx)."""

    at: float
    what: str
    domain: str = "*"


class Chaos:
    """One run against one platform."""

    def __init__(self, made: Platform, account: Account, seed: int) -> None:
        self.platform, self.account = made, account
        self.random = random.Random(seed)
        self.visits, self.blows, self.done = Visits(), [], Counter[str]()
        self.late: list[str] = []
        self.left: list[str] = []
        self.stopping = threading.Event()
        self.domains = [f"{name}-demo.localhost" for name in SITES]
        self.off: set[str] = set()

    # Traffic

    def visit(self) -> None:
        """One visitor, until the end: GETs and POSTs with a body, one after the other."""
        session = requests.Session()
        session.trust_env = False
        choice = random.Random(threading.get_ident())
        body = b"x" * 20_000
        while not self.stopping.is_set():
            domain = choice.choice(self.domains)
            method = choice.choice(("GET", "POST"))
            if domain in self.off:
                time.sleep(0.01)
                continue
            began = time.monotonic()
            fault = ""
            try:
                answer = session.request(
                    method, f"http://127.0.0.1:{self.platform.http}/", headers={"Host": domain}, timeout=40,
                    data=body if method == "POST" else None,
                )  # fmt: skip
                if answer.status_code != 200 or len(answer.content) != (len(body) if method == "POST" else 2):
                    fault = f"{method} {answer.status_code}"
            except requests.RequestException as error:
                fault = f"{method} {type(error).__name__}"
            ended = time.monotonic()
            with self.visits.lock:
                if fault and domain not in self.off:
                    self.visits.bad.append((began, ended, domain, fault))
                elif not fault:
                    self.visits.good += 1
                    self.visits.slowest = max(self.visits.slowest, ended - began)

    # Blows

    def kill(self, name: str) -> None:
        """KILL one of the platform's processes."""
        pid = self.platform.pids()[name]
        self.blows.append(Blow(time.monotonic(), name, "*" if name == "nginx" else ""))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def kill_worker(self) -> None:
        """KILL one of nginx's workers."""
        leader = processes.find(self.platform.pids()["nginx"])
        workers = list(processes.session_members(leader)) if leader else []
        if workers:
            self.blows.append(Blow(time.monotonic(), "worker"))
            processes.send(self.random.choice(workers), signal.SIGKILL)

    def kill_up(self) -> None:
        """KILL the foreground parent, and start it again."""
        self.kill("up")
        assert self.platform.process
        self.platform.process.wait(10)
        self.platform.start(60)

    def kill_site(self) -> None:
        """KILL process 1 of a site."""
        domain = self.random.choice(self.domains)
        number = self.account.get(domain)["id"]
        for path in self.platform.config.instances.glob(f"{number}-*/pid"):
            with contextlib.suppress(OSError, ValueError):
                self.blows.append(Blow(time.monotonic(), "site", domain))
                os.kill(int(path.read_text()), signal.SIGKILL)

    def change(self, method: str, path: str, **kwargs: object) -> None:
        """An API call whose answer may be lost with the process that was to give it."""
        with contextlib.suppress(requests.RequestException):
            self.account.call(method, path, **kwargs)

    def reload(self) -> None:
        self.change("POST", f"{self.random.choice(self.domains)}/reload/")

    def switch(self) -> None:
        """Disable a site and enable it again."""
        domain = self.random.choice(self.domains)
        self.off.add(domain)
        self.change("PATCH", f"{domain}/", json={"enabled": False})
        # A call that was lost with the process that was to carry it out is repeated, as any client's would be.
        on = {"enabled": True}
        self.wait(lambda: self.account.call("PATCH", f"{domain}/", json=on).status_code == 200, 20)
        self.wait(lambda: self.serves(domain), 20)
        self.off.discard(domain)

    def come_and_go(self) -> None:
        """Create a site and delete it."""
        domain = f"x{self.random.randrange(10**6)}-demo.localhost"
        body = {"domain_name": domain, "webapp": {"command": COMMAND}}
        self.change("POST", "", json=body)
        self.change("DELETE", f"{domain}/")
        self.wait(lambda: self.api() and self.account.call("DELETE", f"{domain}/").status_code in (204, 404), 20)

    def during(self, change: Callable[[], None], blow: Callable[[], None]) -> None:
        """A blow at a random moment of a change."""
        changing = threading.Thread(target=change)
        changing.start()
        time.sleep(self.random.random() * 0.5)
        blow()
        changing.join()

    def step(self) -> None:
        """One random act, and what must be true some seconds later."""
        blows: dict[str, Callable[[], None]] = {
            "kill supervisor": lambda: self.kill("supervisor"), "kill control": lambda: self.kill("control"),
            "kill nginx": lambda: self.kill("nginx"), "kill nginx worker": self.kill_worker,
            "kill certificates": lambda: self.kill("certificates"), "kill up": self.kill_up,
            "kill site": self.kill_site,
        }  # fmt: skip
        changes = {"reload": self.reload, "disable and enable": self.switch, "create and delete": self.come_and_go}
        name, blow = self.random.choice(list(blows.items()))
        if self.random.random() < 0.6:
            during, change = self.random.choice(list(changes.items()))
            name = f"{name} during {during}"
            self.during(change, blow)
        else:
            blow()
        self.done[name] += 1
        began = time.monotonic()
        if not self.wait(self.converged, 30):
            with contextlib.suppress(requests.RequestException, ValueError, TypeError, KeyError):
                states = {site["domain_name"]: site["state"] for site in self.account.call("GET").json()}
                name += f" {states}"
            self.late.append(f"{name}: not within 30 s")
        elif time.monotonic() - began > CONVERGE_SECONDS:
            self.late.append(f"{name}: {time.monotonic() - began:.1f} s")

    # What must be true

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(requests.RequestException, OSError, KeyError, ValueError):
                if condition():
                    return True
            time.sleep(0.05)
        return False

    def api(self) -> bool:
        return self.account.call("GET").status_code == 200

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
        return not self.left

    def leftovers(self, wanted: set[int], domains: set[str]) -> list[str]:
        """What is there that belongs to no website, or twice to one."""
        config = self.platform.config
        instances = {path.name for path in config.instances.iterdir()}
        numbers = [int(name.split("-")[0]) for name in instances]
        found = [f"instance {name}" for name in instances if int(name.split("-")[0]) not in wanted]
        found += [f"{count} instances of {number}" for number, count in Counter(numbers).items() if count > 1]
        found += [f"route {path.name}" for path in config.routes.iterdir() if path.name not in domains]
        found += [f"socket {p.name}" for p in config.published.iterdir() if p.name.split(".")[0] not in instances]
        known = instances | {config.published.name}
        found += [f"directory {path.name}" for path in config.sockets.iterdir() if path.name not in known]
        found += [f"runtime {p.name}" for p in (config.run_dir / "oci").iterdir() if p.name not in instances]
        groups = Path("/sys/fs/cgroup").glob(f"**/hereabouts-{config.tag}/*-*-*")
        found += [f"cgroup {path}" for path in groups if path.is_dir() and path.name not in instances]
        cables = [path.name for path in Path("/sys/class/net").iterdir() if path.name.startswith(f"hb{config.tag}-")]
        if len(cables) > len(instances) + 1:  # one is kept ready
            found.append(f"{len(cables)} network cables for {len(instances)} instances")
        return found

    def unexplained(self) -> list[tuple[float, float, str, str]]:
        """Failures of requests that were in no process that was killed while they lasted."""
        return [
            (began, ended, domain, fault)
            for began, ended, domain, fault in self.visits.bad
            if not any(
                (began - 1.0 <= blow.at <= ended and blow.domain in ("*", domain))
                or (blow.what == "worker" and began - 1.0 <= blow.at <= ended)
                for blow in self.blows
            )
        ]

    def told(self, failures: list[tuple[float, float, str, str]]) -> list[str]:
        """Failures in words: those close together as one line, with the blows before them."""
        lines: list[str] = []
        rest = sorted(failures, key=lambda failure: failure[1])
        while rest:
            near = [rest[0]]
            for failure in rest[1:]:
                if failure[1] > near[-1][1] + 0.5:
                    break
                near.append(failure)
            rest = rest[len(near) :]
            first, last = near[0][1], near[-1][1]
            faults = ", ".join(f"{count} {fault}" for fault, count in Counter(f[3] for f in near).most_common())
            blows = ", ".join(f"{b.what} {first - b.at:.2f} s before" for b in self.blows if first - 15 < b.at < last)
            lines.append(f"{faults} of {len({f[2] for f in near})} sites within {last - first:.2f} s: {blows}")
        return lines


def run(seconds: float, seed: int) -> int:
    """Play one run and print what was done and what visitors saw; 0 when all is well."""
    console = Console()
    with platform(CRASH_LIMIT="10") as made:
        account = Account(made, "demo", made.cli("token", "create", "demo").stdout.strip())
        account.write("chaos.py", APP)
        chaos = Chaos(made, account, seed)
        for domain in chaos.domains:
            account.create(COMMAND, domain)
        visitors = [threading.Thread(target=chaos.visit, daemon=True) for _ in range(VISITORS)]
        for visitor in visitors:
            visitor.start()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            chaos.step()
        chaos.stopping.set()
        for visitor in visitors:
            visitor.join(60)
        return report(console, chaos, seed)


def report(console: Console, chaos: Chaos, seed: int) -> int:
    """Print the result; 1 when something did not recover or a failure has no cause."""
    table = Table("what was done", "times", title=f"Chaos, seed {seed}")
    for name, count in sorted(chaos.done.items()):
        table.add_row(name, str(count))
    console.print(table)
    unexplained = chaos.unexplained()
    visits = chaos.visits
    console.print(f"{visits.good:,} visits answered, the slowest after {visits.slowest:.1f} s")
    console.print(f"{len(visits.bad)} failed, {len(unexplained)} of them outside a process that was killed")
    for line in [*chaos.told(unexplained), *chaos.late, *chaos.left]:
        console.print(f"  {line}")
    well = not unexplained and not chaos.late and not chaos.left
    console.print("Recovered every time." if well else "[red]Something did not recover.[/]")
    return 0 if well else 1


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    return run(given.seconds, given.seed)


if __name__ == "__main__":
    sys.exit(main())
