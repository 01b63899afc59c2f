"""The platform that is measured, with one account that has every server installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from tests.platform import Account, Platform, platform, wait_for

from benchmarks.machine import ensure_wrk
from hereabouts import files

ACCOUNT = "demo"
ENVIRONMENT = ".virtualenvs/fast_venv"
_SERVERS = "hypercorn granian gunicorn uvicorn-worker flask"
# The defaults of a platform in use, where the tests take smaller ones.
SETTINGS = {
    "START_SECONDS": "60", "DRAIN_SECONDS": "30", "STOP_SECONDS": "10", "HOLD_SECONDS": "30", "LOG_MB": "10",
    "MEMORY_MB": "512", "PROCESSES": "256", "RATE_LIMIT": "1000000", "DOMAINS_EACH": "100000",
}  # fmt: skip

_HELLO = """\
from fastapi import FastAPI, Request, Response

app = FastAPI()


@app.get("/")
async def root():
    return {"message": "Hello from FastAPI"}


@app.post("/")
async def whole(request: Request):
    body = await request.body()
    return Response(status_code=200 if body == b"x" * 4096 else 400)
"""


@dataclass(frozen=True, eq=False)
class Stage:
    """What every group of measurements works with."""

    platform: Platform
    account: Account
    rounds: int
    quick: bool

    @property
    def uid(self) -> int:
        return self.account.home.stat().st_uid

    @property
    def scratch(self) -> Path:
        """A directory for configurations and logs."""
        return self.platform.directory

    def say(self, text: str) -> None:
        """Tell who waits what is measured now."""
        Console(stderr=True).print(f"[dim]{text}[/]", highlight=False)

    def show_logs(self) -> None:
        """Print the end of the platform's own logs, where it says what went wrong."""
        for log in sorted((self.platform.config.logs / "platform").glob("*.log")):
            if log.name != "access.log":
                self.say(f"{log.name}:\n{files.tail(log, 4000).decode(errors='replace')}")

    def domain(self, name: str) -> str:
        """A domain that the account may take."""
        return f"{name}-{ACCOUNT}.localhost"

    def binary(self, name: str) -> str:
        """A program of the account's virtual environment as its sandboxes see it."""
        return f"/home/{ACCOUNT}/{ENVIRONMENT}/bin/{name}"

    def hello(self) -> str:
        """The command of a FastAPI website under uvicorn, one worker."""
        return f"{self.binary('uvicorn')} --uds $DOMAIN_SOCKET --no-access-log hello:app"

    def bare(self, *words: str) -> list[str]:
        """uvicorn outside of any sandbox, from the very same files."""
        return [str(self.account.home / ENVIRONMENT / "bin" / "python"), "-m", "uvicorn", "--no-access-log", *words]

    @contextmanager
    def website(self, name: str, command: str) -> Iterator[str]:
        """A website that serves, by its domain; deleted afterwards."""
        domain = self.domain(name)
        made = self.account.create(command, domain)
        assert made["state"]["status"] == "running", made
        assert self.platform.visit(domain).status_code < 500
        try:
            yield domain
        finally:
            self.account.delete(domain)

    def socket(self, domain: str) -> Path:
        """The published socket of the instance that serves a domain now."""
        target = str((self.platform.config.routes / domain).readlink()).split(":")[0]
        return self.platform.config.live / f"{target}.sock"


@contextmanager
def stage(*, rounds: int, quick: bool) -> Iterator[Stage]:
    """A platform of its own that runs inside the ``with``, without any website."""
    ensure_wrk()
    console = Console(stderr=True)
    console.print("[dim]Starting a platform and installing servers in an account[/]")
    with platform(**SETTINGS) as made:
        account = _account(made)
        account.shell(f"workon {Path(ENVIRONMENT).name} && pip install --quiet {_SERVERS}")
        yield Stage(made, account, rounds, quick)


@contextmanager
def another(first: Stage) -> Iterator[Stage]:
    """A second platform beside the first, to measure both in turns. Its account has only uvicorn."""
    first.say("Starting a second platform")
    with platform(**SETTINGS) as made:
        yield Stage(made, _account(made), first.rounds, first.quick)


def _account(made: Platform) -> Account:
    """The first account, without its first website."""
    account = Account(made, ACCOUNT, made.cli("token", "create", ACCOUNT).stdout.strip())
    account.delete(account.domain)
    account.write("hello.py", _HELLO)
    wait_for(lambda: not list(made.config.live.iterdir()), 30, "the first website's end")
    return account
