"""Whether somebody still may see a page that is open."""

from __future__ import annotations

from typing import Any

from hereabouts.config import Config
from tests.integration.accounts.conftest import Browser
from tests.integration.api.conftest import Caller

PASSWORD = "correct horse battery"


def test_who_may_see_on(config: Config, alice: Caller, bob: Caller, operator: Caller) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from hereabouts.control.dashboard.viewers import Viewer, _allowed
    from hereabouts.control.models import Account, Session

    website = int(alice.create(enabled=False)["id"])

    def viewer(name: str, number: int = website) -> Any:
        browser = Browser(config)
        assert browser.sign_in(name, PASSWORD).status_code == 302
        return Viewer(browser.session, 0, number)

    own, second, bobs, olivias = (viewer(name) for name in ("alice", "alice", "bob", "operator"))
    gone = Viewer(own.session, 0, website + 1000)
    everybody = {own, second, bobs, olivias, gone, Viewer("", 0, website), Viewer("x" * 32, 0, website)}
    with CaptureQueriesContext(connection) as queries:
        assert _allowed({*everybody, *(Viewer(f"{number}", 0, website) for number in range(1000))}) == {
            own, second, olivias
        }  # fmt: skip
    assert len([each for each in queries.captured_queries if each["sql"].startswith("SELECT")]) == 2
    Session.objects.filter(pk=second.session).update(expire_date="2020-01-01T00:00:00Z")
    assert _allowed(everybody) == {own, olivias}
    for name in ("alice", "operator"):
        Account.objects.filter(username=name).update(is_active=False)
    assert _allowed(everybody) == set()
    Account.objects.filter(username__in=["alice", "operator"]).update(is_active=True)
    Session.objects.filter(pk=own.session).delete()
    assert _allowed(everybody) == {olivias}
