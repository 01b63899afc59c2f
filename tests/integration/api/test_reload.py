"""POST websites/{domain}/reload/"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.integration.api.conftest import Caller, Supervisor, see

RELOAD = "alice.example.org/reload/"


def error(kind: str, message: str) -> dict[str, Any]:
    return {"status": "ERROR", "error_type": kind, "error_message": message}


def test_ok_once_the_new_process_serves(alice: Caller, supervisor: Supervisor) -> None:
    number = alice.create()["id"]

    def settle(website: int, generation: int, seconds: float) -> str:
        see(website, serving=generation)
        return "done"

    supervisor.settle = settle
    for generation in (2, 3):
        answer = alice.call("POST", RELOAD)
        assert (answer.status_code, answer.json()) == (200, {"status": "OK"})
        assert supervisor.asked[-1] == (number, generation)


def test_a_body_is_not_looked_at(alice: Caller, supervisor: Supervisor) -> None:
    alice.create()
    supervisor.settle = lambda website, generation, seconds: see(website, serving=generation) or "done"
    for content in (b"", b"{", b"nonsense"):
        headers = {"Content-Type": "application/json"}
        assert alice.call("POST", RELOAD, content=content, headers=headers).status_code == 200


def test_why_the_new_process_does_not_come_up(alice: Caller, supervisor: Supervisor) -> None:
    alice.create()

    def settle(website: int, generation: int, seconds: float) -> str:
        see(website, detail="The last reload failed: Exit code 1.", serving=generation - 1, failed=generation)
        return "done"

    supervisor.settle = settle
    answer = alice.call("POST", RELOAD)
    assert (answer.status_code, answer.json()) == (502, error("reload_failed", "Exit code 1."))


@pytest.mark.parametrize(
    ("status", "serving", "detail", "message"),
    [
        ("running", 1, None, "The new process is still starting. Until it serves, the old one does."),
        (
            "running", 1, "The last reload failed: Exit code 1.",
            "The new process is still starting. Until it serves, the old one does.",
        ),
        ("restarting", 0, None, "The new process is still starting."),
        ("starting", 0, "It listens on port 8000.", "It listens on port 8000."),
    ],
)  # fmt: skip
def test_a_process_that_is_still_starting(
    alice: Caller, supervisor: Supervisor, status: str, serving: int, detail: str | None, message: str
) -> None:
    see(alice.create()["id"], status, serving=serving, detail=detail)
    supervisor.settle = lambda website, generation, seconds: "waiting"
    answer = alice.call("POST", RELOAD)
    assert (answer.status_code, answer.json()) == (502, error("reload_pending", message))


def test_what_serves_is_ok_however_late_it_was_noticed(alice: Caller, supervisor: Supervisor) -> None:
    alice.create()
    supervisor.settle = lambda website, generation, seconds: see(website, serving=generation) or "waiting"
    assert alice.call("POST", RELOAD).json() == {"status": "OK"}


def test_no_supervisor(alice: Caller) -> None:
    alice.create()
    answer = alice.call("POST", RELOAD)
    message = "The supervisor is not answering; the change will be carried out once it runs."
    assert (answer.status_code, answer.json()) == (502, error("reload_pending", message))


def test_a_disabled_website(alice: Caller, supervisor: Supervisor) -> None:
    alice.create(enabled=False)
    asked = len(supervisor.asked)
    answer = alice.call("POST", RELOAD)
    detail = (
        "The website alice.example.org is disabled, so there is nothing to reload. Enable it: that starts its "
        "latest code."
    )
    assert (answer.status_code, answer.json()) == (400, {"detail": detail})
    assert len(supervisor.asked) == asked


def test_a_website_deleted_meanwhile(alice: Caller, supervisor: Supervisor, services: ModuleType) -> None:
    alice.create()

    def settle(website: int, generation: int, seconds: float) -> str:
        services.delete_website(services.find_website(None, "alice.example.org"))
        return "done"

    supervisor.settle = settle
    assert alice.call("POST", RELOAD).json() == {"detail": "Not found."}
    supervisor.settle = lambda website, generation, seconds: "done"
    alice.create()
    supervisor.settle = settle
    assert alice.call("PATCH", "alice.example.org/", json={"enabled": False}).json() == {"detail": "Not found."}
