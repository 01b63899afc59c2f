"""What is shown for a new website: commands that fit its name, whatever that is."""

from __future__ import annotations

import pytest

from hereabouts.control.dashboard import recipes
from hereabouts.core.webapp import parse_command


@pytest.mark.parametrize(
    ("domain", "project"),
    [
        ("alice.example.org", "my_alice"),
        ("Shop-Alice.example.org", "my_shop_alice"),
        ("www.shop.test", "my_www_shop_test"),
        ("1.alice.test", "my_1_alice_test"),
        ("bücher.test", "my_b_cher_test"),
        ("", "my_website"),
        ("'; rm -rf ~; '", "my_rm_rf"),
        ("x" * 300, "my_" + "x" * 40),
    ],
)
def test_the_directory_is_a_python_module(domain: str, project: str) -> None:
    found = recipes.project(domain, "example.org")
    assert (found, found.isidentifier()) == (project, True)


@pytest.mark.parametrize("key", [key for key, _ in recipes.FRAMEWORKS if key != "own"])
def test_every_command_listens_where_it_should(key: str) -> None:
    found = recipes.recipe(key, "alice", "alice.example.org", "example.org")
    assert parse_command(found.command) == found.command
    assert "$DOMAIN_SOCKET" in found.command or "DOMAIN_SOCKET" in found.files[0].text
    assert "my_alice" in found.command
    assert all(file.path.startswith("~/my_alice/") for file in found.files)
    for file in found.files:
        if file.path.endswith(".py"):
            compile(file.text, file.path, "exec")


def test_node_ends_when_it_is_asked_to() -> None:
    """Process 1 of a sandbox is given no signal that it does not handle: pid_namespaces(7)."""
    assert 'process.on("SIGTERM"' in recipes.recipe("node", "alice", "alice.example.org", "example.org").files[0].text


def test_the_own_command_is_ones_own() -> None:
    for key in ("own", "nonsense"):
        found = recipes.recipe(key, "alice", "alice.example.org", "example.org")
        assert (found.command, found.files, found.shell) == ("", (), "")


def test_django_answers_to_the_name() -> None:
    settings = recipes.recipe("django", "alice", "shop-alice.example.org", "example.org").files[0]
    assert settings.added
    assert 'ALLOWED_HOSTS = ["shop-alice.example.org"]' in settings.text


def test_no_name_becomes_other_code() -> None:
    found = recipes.recipe("django", "alice", 'x"]\nimport os #', "example.org")
    assert found.files[0].text.startswith('ALLOWED_HOSTS = ["www.example.com"]')
