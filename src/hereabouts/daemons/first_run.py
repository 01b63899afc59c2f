"""The jobs of a start: the ground to stand on, the database, and the first accounts and website.

Each runs in a process of its own (jobs.py).
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hereabouts import files, poke
from hereabouts.config import Config
from hereabouts.core.webapp import Status
from hereabouts.daemons import ground, ingress, jobs
from hereabouts.daemons.environ import set_up_django
from hereabouts.errors import MachineError

OPERATOR = "operator"
DEMO = "demo"
DEMO_COMMAND = f"/home/{DEMO}/.virtualenvs/fast_venv/bin/uvicorn --uds $DOMAIN_SOCKET my_fastapi.main:app"
_LIBRARIES = 'requests "uvicorn[standard]" fastapi'
_DEMO_SCRIPT = f"""\
[ -x ~/.virtualenvs/fast_venv/bin/pip ] || mkvirtualenv fast_venv
~/.virtualenvs/fast_venv/bin/pip install --progress-bar off {_LIBRARIES} || exit 1
[ -e ~/my_fastapi/main.py ] && exit 0
mkdir -p ~/my_fastapi && cat > ~/my_fastapi/main.py <<'END'
from fastapi import FastAPI

app = FastAPI()

@app.get("/")
async def root():
    return {{"message":"Hello from FastAPI"}}
END
"""


class Report(Protocol):
    """The part of `up`'s report that is used here."""

    def step(self, text: str) -> AbstractContextManager[Any]:
        """A step that begins now."""

    def warn(self, text: str) -> None:
        """Something went wrong that the platform goes on without."""


@dataclass(frozen=True, slots=True)
class Result:
    """``password`` is the operator's, when it was made just now; ``demo`` the demo website's domain, if it is there."""

    password: str | None
    demo: str | None


def ensure(config: Config, environ: Mapping[str, str], report: Report) -> Result:
    """Make what the first run promises, as far as it is still missing. Goes on without what can't be made."""
    accounts = jobs.call(config, "accounts", environ)
    if not accounts["names"]:
        files.replace(_pending(config), "the demo website\n")
    pending = _pending(config).exists()
    domain: str | None = f"{DEMO}.{config.domain}"
    if pending:
        try:
            with report.step("Making the website of the account demo (downloads FastAPI)") as progress:
                jobs.call(config, "demo", environ, progress)
        except MachineError as error:
            domain = None
            log = config.platform_log(DEMO)
            report.warn(f"{str(error).strip()} Everything else runs; `make up` tries again. The log: {log}")
    elif DEMO not in accounts["names"] or domain not in accounts["domains"]:
        domain = None
    password = None
    if pending and OPERATOR not in accounts["names"]:
        password = str(jobs.call(config, "operator", environ)["password"])
    if pending and domain:
        _pending(config).unlink()  # last: whatever ends before is taken up by the next run
    return Result(password, domain)


def _pending(config: Config) -> Path:
    return config.data_dir / "first-run-pending"


def main(config: Config, job: str) -> None:
    """Do one job; its answer goes to standard output as JSON, everything else to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # the sandbox under way is to be cleared
    if job == "prepare":
        from hereabouts.control.secret import ensure_secret

        ensure_secret(config)
    if job != "ground":
        set_up_django(config)
    known = {"ground": _ground, "prepare": _prepare, "accounts": _accounts, "operator": _operator, "demo": _demo}
    answer = known[job](config)
    with answers:
        json.dump(answer, answers)


def _ground(config: Config) -> dict[str, Any]:
    ground.certificates_and_network(config)
    return {"nginx": ingress.prepare(config)}


def _prepare(config: Config) -> dict[str, Any]:
    from hereabouts.control import database

    database.prepare(config)
    return {}


def _accounts(config: Config) -> dict[str, Any]:
    from hereabouts.control import services
    from hereabouts.control.store import DjangoStore

    return {
        "names": [account.username for account in services.accounts()],
        "domains": [website.domain for website in DjangoStore().websites()],
    }


def _operator(config: Config) -> dict[str, Any]:
    from hereabouts.control import services

    password = secrets.token_urlsafe(12)
    services.create_account(OPERATOR, password, operator=True)
    return {"password": password}


def _demo(config: Config) -> dict[str, Any]:
    from hereabouts.control import services
    from hereabouts.errors import AccountExists, DomainTaken
    from hereabouts.sandbox import console

    with suppress(AccountExists):
        services.create_account(DEMO, None)
    account = services.find_account(DEMO)
    code = console.run(config, account.value(), [_DEMO_SCRIPT])
    if code:
        raise MachineError(
            problem=f"The demo's libraries could not be installed (exit code {code}).",
            remedy="They come from the network: is it reachable?",
        )
    domain = f"{DEMO}.{config.domain}"
    with suppress(DomainTaken):
        services.create_website(account, domain, {"command": DEMO_COMMAND})
    website = services.find_website(account, domain)
    poke.settle(config.supervisor_socket, website.pk, website.generation, config.start_seconds)
    seen = services.find_website(account, domain).observation.value()
    if seen.status is not Status.RUNNING:
        raise MachineError(
            problem=f"The demo website does not serve: {seen.detail or seen.status.value}.",
            remedy=f"See `hereabouts logs {domain}`.",
        )
    return {}
