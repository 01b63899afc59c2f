"""The home of an account that is made on a page."""

from __future__ import annotations

import pytest

from hereabouts import poke
from hereabouts.errors import PlatformNotRunning
from tests.integration.dashboard.conftest import PASSWORD, Person
from tests.platform import Platform


def test_a_home_as_the_command_makes_it(running: Platform, operator_in: Person) -> None:
    try:
        operator_in.sent("/operator/accounts/", {"username": "webmade", "password": PASSWORD})
        running.cli("user", "add", "shellmade", "--password-stdin", input=f"{PASSWORD}\n")
        for place in (running.config.homes, running.config.logs):
            made, model = ((place / name).stat() for name in ("webmade", "shellmade"))
            assert (made.st_mode, made.st_uid + 1) == (model.st_mode, model.st_uid)
    finally:
        for name in ("webmade", "shellmade"):
            running.cli("user", "remove", name, "--yes", check=False)


@pytest.mark.parametrize("line", ["home ../mallory 700100", "home root 700100", "home mallory 0", "home mallory -1"])
def test_no_other_directory_is_made(running: Platform, line: str) -> None:
    with pytest.raises(PlatformNotRunning):  # there is no answer
        poke.ask(running.config.supervisor_socket, line, seconds=5)
    assert not (running.config.homes / line.split()[1]).exists()
