"""Every page of the dashboard with 1,000 websites: server time, bytes of a first visit, live logs, open pages."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urljoin

import psutil
import requests
from playwright.sync_api import Page
from tests.browser.conftest import PASSWORD, chromium
from tests.browser.furnished import invent
from tests.platform import Account, Platform, wait_for

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
# Some of the websites fail to start, which the supervisor sees; many have further names and certificates.
_FURNISH = """\
import sys, time

from hereabouts.config import load
from hereabouts.daemons.environ import set_up_django

set_up_django(load())
from django.db import transaction

from hereabouts.control import domains, services
from hereabouts.control.models import Certificate

now, end = time.time(), 90 * 86_400
with transaction.atomic():
    for number, website in enumerate(services.websites_by_name(services.find_account(sys.argv[1]))):
        if not website.domain_name.startswith("known"):
            continue
        if number <= int(sys.argv[2]):
            services.change_website(website, enabled=True)
        if number % 3 == 0:
            domain = domains.add(website, f"www.{website.domain_name.partition('.')[0]}.test", redirects=True)
            Certificate.objects.create(
                name=domain.name, domain=domain, kind="user-provided", issuer="Example CA", subject=domain.name,
                names=[domain.name], not_before=now, not_after=now + end, fingerprint=f"{number:064x}",
            )
            print(website.pk)
"""
_CRASHED = 20
_LINES = 20_000
_WRITTEN, _A_SECOND = 400, 20
_PATHS = {
    "the list": "/websites/",
    "its sixth page": "/websites/?page=6",
    "a search": "/websites/?q=known77",
    "a new one": "/websites/new/",
    "what to type": "/websites/new/?framework=django&domain_name=x.test",
    "a name": f"/websites/new/name/?domain_name=x-{_NAME}.localhost",
    "overview": f"/websites/{_DOMAIN}/",
    "its day": f"/websites/{_DOMAIN}/?period=day",
    "its week": f"/websites/{_DOMAIN}/?period=week",
    "its month": f"/websites/{_DOMAIN}/?period=month",
    "steps": f"/websites/{_DOMAIN}/steps/",
    "command": f"/websites/{_DOMAIN}/command/",
    "domains": f"/websites/{_DOMAIN}/domains/",
    "logs": f"/websites/{_DOMAIN}/logs/",
    "the access log": f"/websites/{_DOMAIN}/logs/?kind=access",
    "lines of a log": f"/websites/{_DOMAIN}/logs/?q=line+7",
    "danger zone": f"/websites/{_DOMAIN}/delete/",
    "token": "/account/token/",
    "password": "/account/password/",
    "sessions": "/account/sessions/",
    "two-factor": "/account/two-factor/",
    "authorities": "/account/hereabouts-authorities.pem",
    "health": "/operator/",
    "accounts": "/operator/accounts/",
    "an account": f"/operator/accounts/{_NAME}/",
    "all websites": "/operator/websites/",
    "all by requests": "/operator/websites/?order=requests",
    "certificates": "/operator/certificates/",
    "their sixth page": "/operator/certificates/?page=6",
    "audit log": "/operator/audit/",
}
_SIGN_IN = {"sign-in": "/sign-in/"}
_FILES = ("authorities", "a name", "steps")
"""Which are no pages by themselves, so nobody's first visit loads them."""
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
    """On a platform of its own, whose account, an operator's, has nothing else."""
    with another(stage) as own:
        made = own.platform
        _furnished(own)
        session, nobody = _signed_in(made), _session(made)
        stage.say("Pages with 1,000 websites")
        rounds = 20 if stage.quick else 60
        times = _times(made, session, _PATHS, rounds) | _times(made, nobody, _SIGN_IN, rounds)
        rows = [_slowest(times, rounds), _bytes(made, session, nobody)]
        stage.say("Lines of a live log in Chromium")
        rows.append(_live(made, 20 if stage.quick else 100))
        stage.say(f"{_OPEN} open live pages")
        rows.append(_open_pages(made, session))
        return rows


def _furnished(own: Stage) -> None:
    """The account with its websites: traffic and certificates for a third of them, some that crashed, a full log."""
    made = own.platform
    made.cli("user", "add", _NAME, "--operator", "--password-stdin", input=f"{PASSWORD}\n")
    account = Account(made, _NAME, made.cli("token", "create", _NAME).stdout.strip())
    account.write("site.py", _SITE)
    answer = account.create("/usr/bin/python3 site.py $DOMAIN_SOCKET", account.domain)
    assert answer["state"]["status"] == "running", answer
    invent(made, answer["id"])
    know(own, _KNOWN - 1, account.name)
    uid = made.config.control_uid
    done = subprocess.run(
        [sys.executable, "-c", _FURNISH, _NAME, str(_CRASHED)], env=made.environ, user=uid, group=uid,
        extra_groups=[], cwd="/", check=True, timeout=120, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    drawn = made.config.metrics / str(answer["id"])
    for number in done.stdout.split():
        subprocess.run(["cp", "-a", drawn, drawn.with_name(number)], check=True)
    for kind in ("error", "access"):
        with _log(made, kind).open("a") as log:
            log.writelines(f"line {number} of a log that is long\n" for number in range(_LINES))
    for _ in range(3):
        _signed_in(made)
    wait_for(lambda: _crashed(account) >= _CRASHED, 300, f"{_CRASHED} websites that crashed")


def _crashed(account: Account) -> int:
    return sum(each["state"]["status"] == "crashed" for each in account.call("GET").json())


def _log(made: Platform, kind: str) -> Path:
    return made.config.logs / _NAME / f"{_DOMAIN}.{kind}.log"


def _session(made: Platform) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.verify = str(made.config.ca_bundle)
    session.headers["Referer"] = f"{made.api}/"
    return session


def _signed_in(made: Platform) -> requests.Session:
    session = _session(made)
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', session.get(f"{made.api}/sign-in/").text)
    assert found
    form = {"username": _NAME, "password": PASSWORD, "csrfmiddlewaretoken": found[1]}
    assert session.post(f"{made.api}/sign-in/", data=form, allow_redirects=False).status_code == 302
    return session


def _times(made: Platform, session: requests.Session, paths: dict[str, str], rounds: int) -> dict[str, list[float]]:
    """Each page in turn, on one connection; milliseconds from the request to the last byte, the ingress included."""
    times: dict[str, list[float]] = {name: [] for name in paths}
    for number in range(rounds + 3):
        for name, path in paths.items():
            began = time.perf_counter()
            assert session.get(made.api + path, allow_redirects=False).status_code == 200, path
            if number >= 3:
                times[name].append((time.perf_counter() - began) * 1000)
    return times


def _slowest(times: dict[str, list[float]], rounds: int) -> Row:
    slowest = {name: quantiles(each, n=20)[-1] for name, each in times.items()}
    first, *others = sorted(slowest, key=lambda each: -slowest[each])
    every = quantiles([each for found in times.values() for each in found], n=20)[-1]
    return Row(
        f"Pages of an operator's account with {_KNOWN:,} websites, warm, p95 of {rounds} visits of each of "
        f"{len(times)}, from the request to the last byte through the ingress",
        f"{slowest[first]:.0f} ms ({first}, the slowest)",
        "",
        f"all pages: {every:.0f} ms; then {', '.join(f'{name} {slowest[name]:.0f}' for name in others[:3])}",
        f"≤ {_LIMIT_MS} ms",
        slowest[first] <= _LIMIT_MS,
    )


def _bytes(made: Platform, session: requests.Session, nobody: requests.Session) -> Row:
    """Each page and all that it loads, as a browser asks for it: compressed, with headers."""
    sizes = {}
    for visitor, paths in ((session, _PATHS), (nobody, _SIGN_IN)):
        for name, path in paths.items():
            if name in _FILES:
                continue
            page, size = _transferred(made, visitor, path)
            assets = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page))
            sizes[name] = size + sum(_transferred(made, visitor, asset)[1] for asset in assets)
    first, *others = sorted(sizes, key=lambda each: -sizes[each])
    return Row(
        f"Bytes of a first visit to any of these {len(sizes)} pages, with styles, scripts and headers",
        f"{sizes[first] / 1000:.0f} kB ({first}, the largest)",
        "",
        f"then {', '.join(f'{name} {sizes[name] / 1000:.0f}' for name in others[:3])}",
        f"≤ {_LIMIT_KB} kB",
        sizes[first] <= _LIMIT_KB * 1000,
    )


def _transferred(made: Platform, session: requests.Session, path: str) -> tuple[str, int]:
    headers = {"Accept-Encoding": "gzip, deflate, br"}
    with session.get(urljoin(made.api, path), headers=headers, stream=True) as plain:
        body = plain.raw.read(decode_content=False)
        size = len(body) + sum(len(name) + len(value) + 4 for name, value in plain.headers.items())
    return session.get(urljoin(made.api, path)).text, size


def _live(made: Platform, lines: int) -> Row:
    """From the write of a line to the frame after the page has it."""
    waits = []
    with _browser(made) as page, _log(made, "error").open("a", encoding="utf-8") as file:
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
    """As many streams as live pages have, while lines are written to the log that they follow."""
    control = psutil.Process(made.pids()["control"])
    before = largest = control.memory_info().rss / 1e6
    threads = 0
    with ExitStack() as stack, ThreadPoolExecutor(_OPEN) as readers, _log(made, "error").open("a") as log:
        streams = [
            stack.enter_context(
                session.get(f"{made.api}/websites/{_DOMAIN}/logs/error/stream", stream=True, timeout=60)
            )
            for _ in range(_OPEN)
        ]
        reading = [readers.submit(_read_to, stream, b"the last line") for stream in streams]
        for number in range(_WRITTEN):
            log.write(f"line {number} while {_OPEN} look on\n")
            log.flush()
            time.sleep(1 / _A_SECOND)
            largest = max(largest, control.memory_info().rss / 1e6)
            threads = max(threads, control.num_threads())
        log.write("the last line\n")
        log.flush()
        missed = [each for each in reading if not each.result()]
    assert not missed, f"{len(missed)} of {_OPEN} streams ended before the last line"
    return Row(
        f"Resident memory of control with {_OPEN} open live pages, {_A_SECOND} lines a second in the log that they "
        "follow, against the same process before them",
        f"{largest:.0f} MB, {threads} threads",
        f"{before:.0f} MB",
        f"{largest - before:+.0f} MB",
        f"≤ {_LIMIT_MB} MB",
        largest <= _LIMIT_MB,
    )


def _read_to(stream: requests.Response, words: bytes) -> bool:
    """Whether the stream comes to these words."""
    end = b""
    for part in stream.iter_content(None):
        end = end[-len(words) :] + part
        if words in end:
            return True
    return False
