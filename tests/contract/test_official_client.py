"""The official `pa` client, unchanged, against a running platform: what it prints and how it ends."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.sites import ANSWERS, newer, site, uvicorn
from tests.platform import Account

Pa = Callable[..., subprocess.CompletedProcess[str]]
COMMAND = uvicorn("client")
DOMAIN = "client-alice.localhost"


@pytest.fixture
def pa(client_programs: Path, client_environ: dict[str, str], alice: Account) -> Iterator[Pa]:
    """Runs `pa website …`."""

    def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        command = [client_programs / "pa", "website", *words]
        return subprocess.run(
            command, env={**client_environ, **environ}, text=True, capture_output=True, timeout=60, check=False
        )

    alice.write("client.py", ANSWERS)
    yield run
    alice.call("DELETE", f"{DOMAIN}/")


def _said(done: subprocess.CompletedProcess[str]) -> str:
    """What was printed, without the snake's balloon around it."""
    return " ".join(done.stdout.replace("|", " ").split())


def test_create_says_live_when_it_is(pa: Pa, alice: Account) -> None:
    done = pa("create", "-d", DOMAIN, "-c", COMMAND)
    answer = alice.platform.visit(DOMAIN)
    assert done.returncode == 0, done
    assert f"All done! Your site is now live at {DOMAIN}." in _said(done)
    assert answer.json()["version"] == "one"


def test_get_lists_and_shows(pa: Pa, alice: Account) -> None:
    with site(alice, COMMAND, DOMAIN):
        listed, shown = pa("get"), pa("get", "-d", DOMAIN)
    assert (listed.returncode, shown.returncode) == (0, 0)
    assert [DOMAIN, "True"] in [line.split() for line in listed.stdout.splitlines()]
    rows = dict(line.strip().split("  ", 1) for line in shown.stdout.splitlines() if not line.startswith("-"))
    assert {name: text.strip() for name, text in rows.items()} == {
        "domain name": DOMAIN,
        "enabled": "True",
        "command": COMMAND,
        "access log": f"/var/log/{DOMAIN}.access.log",
        "error log": f"/var/log/{DOMAIN}.error.log",
        "server log": f"/var/log/{DOMAIN}.server.log",
    }


def test_get_shows_the_cname_of_a_custom_domain(pa: Pa, alice: Account) -> None:
    with site(alice, COMMAND, "www.client.example") as website:
        shown = pa("get", "-d", "www.client.example")
    assert ["cname", f"webapp-{website['id']}.localhost"] in [line.split() for line in shown.stdout.splitlines()]


def test_reload_brings_the_new_code(pa: Pa, alice: Account) -> None:
    with site(alice, COMMAND, DOMAIN):
        alice.write("client.py", newer(ANSWERS))
        done = pa("reload", "-d", DOMAIN)
        assert alice.platform.visit(DOMAIN).json()["version"] == "the newer one"
    assert done.returncode == 0, done
    assert f"Website {DOMAIN} has been reloaded!" in _said(done)


def test_a_reload_that_fails_is_told(pa: Pa, alice: Account) -> None:
    with site(alice, COMMAND, DOMAIN):
        alice.write("client.py", "raise ValueError('not today')\n")
        done = pa("reload", "-d", DOMAIN)
        assert alice.platform.visit(DOMAIN).json()["version"] == "one"
    assert done.returncode == 1
    assert "has been reloaded" not in done.stdout
    assert "POST to reload website via API failed" in done.stderr
    assert "ValueError: not today" in " ".join(done.stderr.replace("│", " ").split())


def test_delete(pa: Pa, alice: Account) -> None:
    with site(alice, COMMAND, DOMAIN):
        done = pa("delete", "-d", DOMAIN)
        assert alice.call("GET", f"{DOMAIN}/").status_code == 404
        assert alice.platform.visit(DOMAIN).status_code == 404
    assert done.returncode == 0, done
    assert f"Website {DOMAIN} has been deleted!" in _said(done)


@pytest.mark.parametrize("words", [("get",), ("reload",), ("delete",)], ids=lambda words: words[0])
def test_a_missing_site(pa: Pa, words: tuple[str, ...]) -> None:
    done = pa(*words, "-d", "missing-alice.localhost")
    assert done.returncode == 1
    assert "PythonAnywhereApiException" in done.stderr
    assert "<Response [404]>" in done.stderr
    assert "Not found." in done.stderr


def test_a_taken_domain(pa: Pa, alice: Account) -> None:
    with site(alice, COMMAND, DOMAIN):
        done = pa("create", "-d", DOMAIN, "-c", COMMAND)
    assert done.returncode == 1
    assert done.stdout.strip() == f"You already have a website for {DOMAIN}."


def test_a_domain_that_is_not_the_users(pa: Pa) -> None:
    done = pa("create", "-d", "bob.localhost", "-c", COMMAND)
    assert done.returncode == 1
    assert "POST to create website failed with status code 400" in done.stdout
    assert "Under localhost your websites can be alice.localhost" in done.stdout


def test_a_wrong_token(pa: Pa) -> None:
    done = pa("get", API_TOKEN="0" * 40)
    assert done.returncode == 1
    assert "AuthenticationError" in done.stderr
    assert "Authentication error 401 calling API" in done.stderr
    assert "Invalid token." in done.stderr


def test_inside_a_sandbox_it_works_with_no_set_up(client_programs: Path, alice: Account) -> None:
    libraries = next(client_programs.parent.glob("lib/python3*/site-packages"))
    shutil.copytree(libraries, alice.home / "client", dirs_exist_ok=True)
    alice.write("client.py", ANSWERS)
    with site(alice, COMMAND, DOMAIN):
        listed = alice.shell("PYTHONPATH=~/client python3 -c 'import cli.pa; cli.pa.app()' website get")
    assert [DOMAIN, "True"] in [line.split() for line in listed.stdout.splitlines()]
