"""Visitors who come while processes are killed, and which of their failures those kills explain."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests

NGINX_SECONDS = 1.0
"""Visitors may be refused for so long while nginx is started again."""
_VISITORS = 6
Failure = tuple[float, float, str, str]
"""A request that failed: when it began and ended, its domain, and how."""


@dataclass(frozen=True)
class Blow:
    """Something that was killed: from when to when, what, and the domain whose requests were inside it (* for all)."""

    at: float
    gone: float
    what: str
    domain: str

    def explains(self, failure: Failure) -> bool:
        """Whether the request was under way in what was killed, or met an nginx that was just being started."""
        began, ended, domain, _ = failure
        after = NGINX_SECONDS if self.what == "nginx" else 0.0
        return self.domain in ("*", domain) and began <= self.gone + after and ended >= self.at


@dataclass
class Visits:
    """What visitors saw: answers, and failures. To domains that are ``off`` nobody comes."""

    good: int = 0
    slowest: float = 0.0
    bad: list[Failure] = field(default_factory=list)
    off: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def coming(self, port: int, domains: list[str], seed: int) -> Iterator[None]:
        """Visitors who come to all of these domains, until the end of the ``with``."""
        end = threading.Event()
        visitors = [
            threading.Thread(
                target=self._visit, args=(port, domains, random.Random(f"visitor {n} of {seed}"), end), daemon=True
            )
            for n in range(_VISITORS)
        ]
        for visitor in visitors:
            visitor.start()
        try:
            yield
        finally:
            end.set()
            for visitor in visitors:
                visitor.join(60)

    def _visit(self, port: int, domains: list[str], chance: random.Random, end: threading.Event) -> None:
        """One visitor: GETs and POSTs with a body, one after the other."""
        session = requests.Session()
        session.trust_env = False
        while not end.is_set():
            domain, method = chance.choice(domains), chance.choice(("GET", "POST"))
            if domain in self.off:
                time.sleep(0.01)
                continue
            began = time.monotonic()
            fault = _fault(session, port, domain, method)
            ended = time.monotonic()
            with self.lock:
                if fault and domain not in self.off:
                    self.bad.append((began, ended, domain, fault))
                elif not fault:
                    self.good += 1
                    self.slowest = max(self.slowest, ended - began)

    def unexplained(self, blows: list[Blow]) -> list[Failure]:
        """Failures of requests that were in no process that was killed while they lasted."""
        return [failure for failure in self.bad if not any(blow.explains(failure) for blow in blows)]


def _fault(session: requests.Session, port: int, domain: str, method: str) -> str:
    """What was wrong with one visit; empty when it was answered well."""
    body = b"x" * 20_000 if method == "POST" else None
    try:
        answer = session.request(method, f"http://127.0.0.1:{port}/", headers={"Host": domain}, timeout=40, data=body)
    except requests.RequestException as error:
        return f"{method} {type(error).__name__}"
    well = answer.status_code == 200 and len(answer.content) == len(body or b"ok")
    return "" if well else f"{method} {answer.status_code}"


def told(failures: list[Failure], blows: list[Blow]) -> list[str]:
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
        begins = f"begun {first - near[0][0]:.3f} s before"
        before = ", ".join(
            f"{b.what} {b.domain} {first - b.at:.3f} s before (gone {b.gone - b.at:.3f} s later)"
            for b in blows if first - 15 < b.at < last
        )  # fmt: skip
        lines.append(f"{faults} ({begins}) of {len({f[2] for f in near})} sites in {last - first:.2f} s: {before}")
    return lines
