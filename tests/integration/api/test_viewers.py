"""Whether somebody still may see a page that is open."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
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


def test_pages_are_counted_while_others_come_and_go(config: Config) -> None:
    from hereabouts.control.dashboard.viewers import Viewer, pages, watched

    def count() -> set[int]:
        return {pages(1) for _ in range(3000)}

    async def come_and_go() -> set[int]:
        with ExitStack() as stack:
            for number in range(1000):
                stack.enter_context(watched(Viewer(f"{number}", 1, 1)))
            counting = asyncio.create_task(asyncio.to_thread(count))
            while not counting.done():
                with watched(Viewer("", 2, 1)):
                    await asyncio.sleep(0)
            return await counting

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        assert asyncio.run(come_and_go()) == {1000}
    finally:
        sys.setswitchinterval(before)
