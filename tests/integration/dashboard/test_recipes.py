"""What the page for a new website tells to type, typed: the commands, the files, the command of the website."""

from __future__ import annotations

import html

import pytest

from hereabouts.control.dashboard.recipes import FRAMEWORKS, Recipe, recipe
from tests.integration.dashboard.conftest import Person
from tests.integration.sites import PLAIN, site
from tests.platform import Account

RECIPES = {key: recipe(key, "alice", f"{key}-alice.localhost", "localhost") for key, _ in FRAMEWORKS}
ANSWERS = {"own": "version", "django": "The install worked successfully"}


@pytest.fixture(scope="module")
def installed(alice: Account) -> None:
    """All that a page tells to install, in one environment: one after the other, each within a sandbox's memory."""
    lines = [line for each in RECIPES.values() for line in each.shell.splitlines() if line.startswith("pip install ")]
    alice.shell(" && ".join(["workon servers", "export PIP_QUIET=1", *lines]))


def follow(alice: Account, recipe: Recipe) -> None:
    """Do all the rest of it."""
    lines = ["true"]
    for line in recipe.shell.splitlines():
        if line.startswith("mkvirtualenv "):
            name = line.removeprefix("mkvirtualenv ")
            lines += [f"ln -sfn servers ~/.virtualenvs/{name}", f"workon {name}"]
        elif not line.startswith("pip install "):
            lines.append(line)
    alice.shell(" && ".join(lines))
    for file in recipe.files:
        path = file.path.removeprefix("~/")
        before = (alice.home / path).read_text(encoding="utf-8") if file.added else ""
        alice.write(path, before + file.text)


@pytest.mark.parametrize("key", RECIPES)
def test_it_leads_to_a_website_that_serves(alice: Account, alice_in: Person, installed: None, key: str) -> None:
    told, domain = RECIPES[key], f"{key}-alice.localhost"
    page = alice_in.post("/websites/new/", {"framework": key, "domain_name": domain, "show": "yes"}).text
    parts = (told.shell, told.command, *(part for file in told.files for part in (file.path, file.text)))
    assert all(part in html.unescape(page) for part in parts)
    follow(alice, told)
    command = told.command
    if key == "own":
        alice.write("own.py", PLAIN)
        command = "/usr/bin/python3 own.py"
    with site(alice, command, domain) as made:
        assert made["state"]["status"] == "running", made["state"]
        answer = alice.platform.visit(domain)
        assert answer.status_code == 200, alice.log(domain, "error")
        assert ANSWERS.get(key, "Hello from") in answer.text
