"""The dashboard with 1,000 websites in the account: server time, bytes of a first visit, live logs, open pages."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median, quantiles
from urllib.parse import urljoin

import psutil
import requests
from playwright.sync_api import Page
from tests.browser.conftest import PASSWORD, chromium
from tests.browser.furnished import invent
from tests.platform import Account, Platform

from benchmarks.report import Row
from benchmarks.stage import Stage, another
from benchmarks.thousand import know

_NAME = "pages"
_KNOWN = 1000
_LIMIT_MS, _LIMIT_KB, _LIMIT_LIVE_MS, _LIMIT_MB = 80, 100, 300, 150
_OPEN = 100
_DOMAIN = f"{_NAME}.localhost"
_SITE = """\
import socketserver, os


class Server(socketserver.UnixStreamServer):
    pass


Server(os.environ["DOMAIN_SOCKET"], socketserver.BaseRequestHandler).serve_forever()
"""
_PATHS = {
    "the list": "/websites/",
    "its sixth page": "/websites/?page=6",
    "a search": "/websites/?q=known77",
    "a new one": "/websites/new/",
    "overview": f"/websites/{_DOMAIN}/",
    "its day": f"/websites/{_DOMAIN}/?period=day",
    "its month": f"/websites/{_DOMAIN}/?period=month",
    "steps": f"/websites/{_DOMAIN}/steps/",
    "command": f"/websites/{_DOMAIN}/command/",
    "domains": f"/websites/{_DOMAIN}/domains/",
    "logs": f"/websites/{_DOMAIN}/logs/",
}
# Runs in the page: notes when each line of the log is on screen, in milliseconds since the epoch.
_WATCH = """() => {
  window.seen = {};
  const look = () => requestAnimationFrame(() => setTimeout(() => {
    for (const line of document.querySelectorAll("#log div")) window.seen[line.textContent] ??= Date.now();
  }));
  const log = document.getElementById("log");
  new MutationObserver(look).observe(log, {childList: true, subtree: true, characterData: true});
}"""


def run(stage: Stage) -> list[Row]:
    """On a platform of its own, whose account has nothing else."""
    with another(stage) as own:
        made = own.platform
        account = made.account(_NAME)
        account.write("site.py", _SITE)
        answer = account.create("/usr/bin/python3 site.py $DOMAIN_SOCKET", account.domain)
        assert answer["state"]["status"] == "running", answer
        invent(made, answer["id"])
        know(own, _KNOWN - 1, account.name)
        session = _signed_in(made)
        stage.say("Pages with 1,000 websites")
        rows = [_times(made, session, 20 if stage.quick else 60), _bytes(made, session)]
        stage.say("Lines of a live log in Chromium")
        rows.append(_live(made, account, 20 if stage.quick else 100))
        stage.say(f"{_OPEN} open live pages")
        rows.append(_open_pages(made, session))
        return rows


def _signed_in(made: Platform) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.verify = str(made.config.ca_bundle)
    session.headers["Referer"] = f"{made.api}/"
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', session.get(f"{made.api}/sign-in/").text)
    assert found
    form = {"username": _NAME, "password": PASSWORD, "csrfmiddlewaretoken": found[1]}
    assert session.post(f"{made.api}/sign-in/", data=form, allow_redirects=False).status_code == 302
    return session


def _times(made: Platform, session: requests.Session, rounds: int) -> Row:
    """Each page in turn, on one connection; from the request to the last byte, the ingress included."""
    times: dict[str, list[float]] = {name: [] for name in _PATHS}
    for number in range(rounds + 3):
        for name, path in _PATHS.items():
            began = time.perf_counter()
            assert session.get(made.api + path, allow_redirects=False).status_code == 200, path
            if number >= 3:
                times[name].append((time.perf_counter() - began) * 1000)
    slowest = {name: quantiles(each, n=20)[-1] for name, each in times.items()}
    name = max(slowest, key=lambda each: slowest[each])
    every = quantiles([each for found in times.values() for each in found], n=20)[-1]
    return Row(
        f"Pages of an account with {_KNOWN:,} websites, warm, p95 of {rounds} visits of each of {len(_PATHS)} pages, "
        "from the request to the last byte through the ingress",
        f"{slowest[name]:.0f} ms ({name}, the slowest)",
        "",
        f"all pages: {every:.0f} ms",
        f"≤ {_LIMIT_MS} ms",
        slowest[name] <= _LIMIT_MS,
    )


def _bytes(made: Platform, session: requests.Session) -> Row:
    """The list with a hundred websites and all that it loads, as a browser asks for it: compressed, with headers."""
    page, size = _transferred(made, session, "/websites/")
    for path in sorted(set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page))):
        size += _transferred(made, session, path)[1]
    return Row(
        "Bytes of a first visit to the list of 100 of them, with styles, scripts and headers",
        f"{size / 1000:.0f} kB",
        "",
        "",
        f"≤ {_LIMIT_KB} kB",
        size <= _LIMIT_KB * 1000,
    )


def _transferred(made: Platform, session: requests.Session, path: str) -> tuple[str, int]:
    headers = {"Accept-Encoding": "gzip, deflate, br"}
    with session.get(urljoin(made.api, path), headers=headers, stream=True) as plain:
        body = plain.raw.read(decode_content=False)
        size = len(body) + sum(len(name) + len(value) + 4 for name, value in plain.headers.items())
    return session.get(urljoin(made.api, path)).text, size


def _live(made: Platform, account: Account, lines: int) -> Row:
    """From the write of a line to the frame after the page has it."""
    waits = []
    log = made.config.logs / account.name / f"{_DOMAIN}.error.log"
    with _browser(made) as page, log.open("a", encoding="utf-8") as file:
        page.goto(f"{made.api}/websites/{_DOMAIN}/logs/")
        page.locator("#live").filter(has_text=re.compile("^Live$")).wait_for()
        page.evaluate(_WATCH)
        for number in range(lines):
            text = f"line {number} of those that are timed"
            began = time.time() * 1000
            file.write(f"{text}\n")
            file.flush()
            page.wait_for_function("text => window.seen[text]", arg=text)
            waits.append(page.evaluate("text => window.seen[text]", text) - began)
            time.sleep(random.uniform(0, 0.2))  # so that lines meet every moment of the supervisor's own rhythm
    worst = quantiles(waits, n=20)[-1]
    return Row(
        f"Live log: from a line's write to the screen of Chromium, p95 of {lines}",
        f"{worst:.0f} ms",
        "",
        f"median {median(waits):.0f} ms",
        f"≤ {_LIMIT_LIVE_MS} ms",
        worst <= _LIMIT_LIVE_MS,
    )


@contextmanager
def _browser(made: Platform) -> Iterator[Page]:
    with chromium(made) as browser:
        page = browser.new_context(ignore_https_errors=True).new_page()
        page.goto(f"{made.api}/sign-in/")
        page.get_by_label("Name").fill(_NAME)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/websites**")
        yield page


def _open_pages(made: Platform, session: requests.Session) -> Row:
    """As many streams as live pages have; each has had its first piece."""
    control = psutil.Process(made.pids()["control"])
    before = control.memory_info().rss / 1e6
    with ExitStack() as stack:
        streams = [
            stack.enter_context(
                session.get(f"{made.api}/websites/{_DOMAIN}/logs/error/stream", stream=True, timeout=60)
            )
            for _ in range(_OPEN)
        ]
        for stream in streams:
            assert any(line.startswith(b"data: ") for line in stream.iter_lines(chunk_size=1))
        largest, threads = control.memory_info().rss / 1e6, control.num_threads()
    return Row(
        f"Resident memory of control with {_OPEN} open live pages, against the same process before them",
        f"{largest:.0f} MB, {threads} threads",
        f"{before:.0f} MB",
        f"{largest - before:+.0f} MB",
        f"≤ {_LIMIT_MB} MB",
        largest <= _LIMIT_MB,
    )
