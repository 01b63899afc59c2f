"""The jobs of a start that need the database: preparing it, and the first accounts and website.

Each runs in a short-lived process of its own, so that `up`, which stays, holds no web framework in memory.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hereabouts import files
from hereabouts.config import Config
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
        log = config.logs / "platform" / "first-run.log"
        try:
            with report.step("Making the website of the account demo (downloads FastAPI)") as progress:
                call(config, "demo", environ, log=log, progress=progress)
            _pending(config).unlink()
        except MachineError as error:
            domain = None
            report.warn(f"{error} Everything else runs; `make up` tries again. The log: {log}")
    elif DEMO not in accounts["names"] or domain not in accounts["domains"]:
        domain = None
    password = None
    if OPERATOR not in accounts["names"] and (not accounts["names"] or _pending(config).exists()):
        password = str(call(config, "operator", environ)["password"])
    return Result(password, domain)


def _pending(config: Config) -> Path:
    return config.data_dir / "first-run-pending"


def call(
    config: Config, job: str, environ: Mapping[str, str], *, log: Path | None = None, progress: Any = None
) -> dict[str, Any]:
    """Run one job in its own process and return its answer. Raises MachineError with its words.

    While it runs, ``progress`` is shown the last line of its ``log``.
    """
    argv = [sys.executable, "-m", "hereabouts.daemons", job]
    errors = log.open("w+b") if log else subprocess.PIPE
    with subprocess.Popen(
        argv, env=dict(environ), cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            if log and progress:
                _follow(process, log, progress)
            out, err = process.communicate()
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        said = (files.tail(log, 4000) if log else err).decode(errors="replace").strip()
        raise MachineError(problem=said.splitlines()[-1] if log and said else said, remedy="")
    return dict(json.loads(out or b"{}"))


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
    set_up_django(config)
    answer = {"prepare": _prepare, "accounts": _accounts, "operator": _operator, "demo": _demo}[job](config)
    with answers:
        json.dump(answer, answers)


def _prepare(config: Config) -> dict[str, Any]:
    from hereabouts.control import database

    database.ensure_secret(config)
    database.prepare(config)
    return {}


def _accounts(config: Config) -> dict[str, Any]:
    from hereabouts.control import services

    return {
        "names": [account.name for account in services.list_accounts()],
        "domains": [website.domain for website in services.list_websites()],
    }


def _operator(config: Config) -> dict[str, Any]:
    from hereabouts.control import services

    password = secrets.token_urlsafe(12)
    services.create_account(OPERATOR, password, operator=True)
    return {"password": password}


def _demo(config: Config) -> dict[str, Any]:
    from hereabouts.control import services
    from hereabouts.errors import AccountExists
    from hereabouts.sandbox import console

    with suppress(AccountExists):
        services.create_account(DEMO, None)
    account = services.get_account(DEMO)
    code = console.run(config, account, [_DEMO_SCRIPT])
    if code:
        raise MachineError(
            problem=f"The demo's libraries could not be installed (exit code {code}).",
            remedy="They come from the network: is it reachable?",
        )
    domain = f"{DEMO}.{config.domain}"
    if all(website.domain != domain for website in services.list_websites()):
        services.create_website(account, domain, DEMO_COMMAND)
    return {}
