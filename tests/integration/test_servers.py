"""Every server and every form of command that the contract names: created, visited, reloaded, deleted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.sites import ANSWERS, BIN, PLAIN, newer, remains, site
from tests.platform import Account, Platform, wait_for

FASTAPI = """\
from pathlib import Path

from fastapi import FastAPI

VERSION = "one"
app = FastAPI()


@app.get("/")
async def root():
    return {"version": VERSION, "one": Path("/proc/1/cmdline").read_text().replace("\\0", " ").strip()}
"""
FLASK = """\
from pathlib import Path

from flask import Flask

VERSION = "one"
app = Flask(__name__)


@app.get("/")
def root():
    return {"version": VERSION, "one": Path("/proc/1/cmdline").read_text().replace("\\0", " ").strip()}
"""


@dataclass(frozen=True)
class Form:
    """A command, the code it serves, and whose name process 1 has (empty where a shell may stay)."""

    name: str
    command: str
    first: str
    code: str = ANSWERS
    kind: str | None = None
    """What the command sets the variable KIND to."""

    def __str__(self) -> str:
        return self.name


SERVERS = [
    Form("uvicorn", f"{BIN}/uvicorn --uds $DOMAIN_SOCKET servers:app", "uvicorn"),
    Form("uvicorn-fastapi", f"{BIN}/uvicorn --uds $DOMAIN_SOCKET servers:app", "uvicorn", FASTAPI),
    Form("uvicorn-workers", f"{BIN}/uvicorn --workers 2 --uds $DOMAIN_SOCKET servers:app", "uvicorn"),
    Form("hypercorn", f"{BIN}/hypercorn --bind unix:$DOMAIN_SOCKET servers:app", "hypercorn"),
    Form("granian", f"{BIN}/granian --interface asgi --uds $DOMAIN_SOCKET servers:app", "granian"),
    Form("daphne", f"{BIN}/daphne -u $DOMAIN_SOCKET servers:app", "daphne"),
    Form(
        "gunicorn-uvicorn",
        f"{BIN}/gunicorn -k uvicorn_worker.UvicornWorker --bind unix:$DOMAIN_SOCKET servers:app",
        "gunicorn",
    ),
    Form("gunicorn-flask-sync", f"{BIN}/gunicorn --bind unix:${{DOMAIN_SOCKET}} servers:app", "gunicorn", FLASK),
    Form(
        "gunicorn-flask-gthread",
        f"{BIN}/gunicorn -k gthread --threads 4 --bind unix:$DOMAIN_SOCKET servers:app",
        "gunicorn",
        FLASK,
    ),
    Form(
        "gunicorn-flask-gevent",
        f"{BIN}/gunicorn -k gevent --workers 2 --bind unix:$DOMAIN_SOCKET servers:app",
        "gunicorn",
        FLASK,
    ),
    Form("standard-library", "/usr/bin/python3 servers.py", "python3", PLAIN),
]
FORMS = [
    Form("cd", "cd inner && ../.virtualenvs/servers/bin/uvicorn --uds $DOMAIN_SOCKET servers:app", "uvicorn"),
    Form(
        "activate",
        "source ~/.virtualenvs/servers/bin/activate && uvicorn --uds $DOMAIN_SOCKET servers:app",
        "uvicorn",
    ),
    Form("login-shell", f'/bin/bash -lc "{BIN}/uvicorn --uds $DOMAIN_SOCKET servers:app"', "uvicorn"),
    Form("workon", "bash -lc 'workon servers && cd inner && uvicorn --uds $DOMAIN_SOCKET servers:app'", "uvicorn"),
    Form("env", f"/usr/bin/env KIND=env {BIN}/uvicorn --uds $DOMAIN_SOCKET servers:app", "uvicorn", kind="env"),
    Form("assignment", f"KIND=shell {BIN}/uvicorn --uds $DOMAIN_SOCKET servers:app", "uvicorn", kind="shell"),
    Form("single-quotes", f"{BIN}/uvicorn --uds '${{DOMAIN_SOCKET}}' servers:app", "uvicorn"),
    Form("double-quotes", f'{BIN}/uvicorn --uds="$DOMAIN_SOCKET" servers:app', "uvicorn"),
    Form("lines", f"cd ~ &&\n{BIN}/uvicorn \\\n  --uds $DOMAIN_SOCKET \\\n  servers:app", "uvicorn"),
    Form("exec", f"export KIND=exec; exec {BIN}/uvicorn --uds $DOMAIN_SOCKET servers:app", "uvicorn", kind="exec"),
    Form("pipe", f"{BIN}/uvicorn --uds $DOMAIN_SOCKET servers:app 2>&1 | cat", ""),
]


@pytest.fixture(scope="module")
def deleted(running: Platform) -> Iterator[list[dict[str, Any]]]:
    """The websites that were deleted: of none is anything left in the end. (They end while the next is tried.)"""
    websites: list[dict[str, Any]] = []
    yield websites
    for website in websites:
        wait_for(lambda website=website: not remains(running, website), what=f"no {website['domain_name']}")


@pytest.mark.parametrize("form", SERVERS + FORMS, ids=str)
def test_it_is_created_visited_reloaded_and_deleted(alice: Account, deleted: list[dict[str, Any]], form: Form) -> None:
    platform, domain = alice.platform, f"{form.name}-alice.localhost"
    places = ("servers.py", "inner/servers.py")
    for place in places:
        alice.write(place, form.code)
    with site(alice, form.command, domain) as website:
        answer = platform.visit(domain)
        assert answer.status_code == 200, (answer.text, website["state"], alice.log(domain, "error"))
        assert website["state"]["status"] == "running"
        assert (answer.json()["version"], form.first in answer.json()["one"].split(" -c ")[0]) == ("one", True)

        assert answer.json().get("environment", {}).get("KIND") == form.kind

        for place in places:
            alice.write(place, newer(form.code))
        reloaded = alice.call("POST", f"{domain}/reload/")
        assert (reloaded.status_code, reloaded.json()) == (200, {"status": "OK"})
        assert platform.visit(domain).json()["version"] == "the newer one"

        alice.delete(domain)
        assert platform.visit(domain).status_code == 404
    deleted.append(website)
