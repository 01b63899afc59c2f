"""The jobs of a start: the ground to stand on, the database, and the first accounts and website.

Each runs in a short-lived process of its own, so that `up`, which stays, holds none of their libraries in memory.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hereabouts import files, poke
from hereabouts.config import Config
from hereabouts.core.webapp import Status
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
_GLANCE_SECONDS = 0.2
EXPECTED_FAILURE = 1
"""The exit code of a process that has said what is wrong in a sentence, its last line."""


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
    accounts = call(config, "accounts", environ)
    if not accounts["names"]:
        files.replace(_pending(config), "the demo website\n")
    domain: str | None = f"{DEMO}.{config.domain}"
    if _pending(config).exists():
        try:
            with report.step("Making the website of the account demo (downloads FastAPI)") as progress:
                call(config, "demo", environ, progress)
            _pending(config).unlink()
        except MachineError as error:
            domain = None
            report.warn(
                f"{str(error).strip()} Everything else runs; `make up` tries again. The log: {job_log(config, DEMO)}"
            )
    elif DEMO not in accounts["names"] or domain not in accounts["domains"]:
        domain = None
    password = None
    if OPERATOR not in accounts["names"] and (not accounts["names"] or _pending(config).exists()):
        password = str(call(config, "operator", environ)["password"])
    return Result(password, domain)


def _pending(config: Config) -> Path:
    return config.data_dir / "first-run-pending"


def call(config: Config, job: str, environ: Mapping[str, str], progress: Any = None) -> dict[str, Any]:
    """Run one job in its own process and return its answer. Raises MachineError with its words.

    While it runs, ``progress`` is shown the last line that it wrote to its log.
    """
    argv = [sys.executable, "-m", "hereabouts.daemons", job]
    log = job_log(config, job)
    with (
        log.open("w+b") as errors,
        subprocess.Popen(
            argv, env=dict(environ), cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            start_new_session=True,
        ) as process,
    ):  # fmt: skip
        try:
            if progress:
                _follow(process, log, progress)
            out, _ = process.communicate()
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        said = files.tail(log, 4000).decode(errors="replace").strip().splitlines() or ["it said nothing"]
        if process.returncode == EXPECTED_FAILURE:
            raise MachineError(problem=said[-1], remedy="")
        raise MachineError(problem=f"The job {job} failed: {said[-1]}.", remedy=f"Its log: {log}")
    return dict(json.loads(out or b"{}"))


def job_log(config: Config, job: str) -> Path:
    """Where a job writes what it does."""
    return config.logs / "platform" / f"{job}.log"


def _follow(process: subprocess.Popen[bytes], log: Path, progress: Any) -> None:
    while True:
        try:
            process.wait(_GLANCE_SECONDS)
            return
        except subprocess.TimeoutExpired:
            lines = files.tail(log, 500).decode(errors="replace").strip().splitlines()
            if lines:
                progress(lines[-1])


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
    jobs = {"ground": _ground, "prepare": _prepare, "accounts": _accounts, "operator": _operator, "demo": _demo}
    answer = jobs[job](config)
    with answers:
        json.dump(answer, answers)


def _ground(config: Config) -> dict[str, Any]:
    from hereabouts.daemons import ground, ingress

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
