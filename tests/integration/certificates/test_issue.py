"""From a wish to the certificate that visitors see."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest

from tests.certified import Stage
from tests.pebble import Request
from tests.platform import wait_for

SERVER_INTERNAL = "urn:ietf:params:acme:error:serverInternal"
MALFORMED = "urn:ietf:params:acme:error:malformed"
RATE_LIMITED = "urn:ietf:params:acme:error:rateLimited"


def test_a_certificate_is_issued_and_shown(stage: Stage) -> None:
    name = stage.fresh()
    stage.want(name)

    assert stage.issue(name) == {"status": "done"}

    stage.trusted(name)
    row = stage.row(name)
    assert row["fingerprint"] == stage.fingerprint(name)
    assert row["names"] == [name]
    assert row["problem"] is None
    assert 56.9 * 86_400 < row["renew_at"] - row["not_before"] < 60.1 * 86_400


def test_an_owner_orders_one_through_the_api(stage: Stage) -> None:
    account = stage.platform.account("olga")
    name = stage.fresh()
    account.create("true", name, enabled=False)

    answer = account.session.post(
        f"{stage.platform.api}/api/v1/user/olga/domains/{name}/ssl/", json={"cert_type": "letsencrypt-auto-renew"}
    )

    assert (answer.status_code, answer.json()) == (200, {"status": "OK"}), answer.text
    stage.trusted(name)


def test_what_is_wanted_is_ordered_unasked(stage: Stage) -> None:
    name = stage.fresh()
    stage.want(name)

    wait_for(lambda: stage.certified(name), 30, "a certificate")

    stage.trusted(name)


def test_one_that_is_good_already_is_not_ordered_again(stage: Stage) -> None:
    name = stage.fresh()
    stage.want(name)
    stage.issue(name)
    before = stage.orders()

    assert stage.issue(name) == {"status": "done"}

    assert stage.orders() == before


def test_two_who_ask_at_once_share_one_order(stage: Stage) -> None:
    name = stage.fresh()
    before = stage.orders()
    stage.want(name)

    with ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(stage.issue, [name] * 4))

    assert answers == [{"status": "done"}] * 4
    assert stage.orders() == before + 1


def test_one_who_waits_too_shortly_is_told_and_the_order_goes_on(stage: Stage) -> None:
    name = stage.fresh()
    stage.want(name)

    assert stage.issue(name, 0.05) == {"status": "waiting"}

    wait_for(lambda: stage.certified(name), 30, "the certificate")


def test_it_is_not_done_before_visitors_see_it(stage: Stage) -> None:
    name, issued = stage.fresh(), threading.Event()
    installed = stage.platform.config.certificates / "own" / f"{name}.pem"

    def rule(request: Request) -> None:
        if request.path.startswith("/certZ") and not request.answered and not issued.is_set():
            stage.send("nginx", signal.SIGSTOP)
            issued.set()

    stage.door.rule = rule
    stage.want(name)
    try:
        with ThreadPoolExecutor(1) as caller:
            caller.submit(stage.issue, name)
            assert issued.wait(60)
            wait_for(installed.exists, 60, "the supervisor's part")

            assert stage.issue(name, 3) != {"status": "done"}
            assert not stage.row(name)["fingerprint"]

            stage.send("nginx", signal.SIGCONT)
    finally:
        stage.send("nginx", signal.SIGCONT)
    wait_for(lambda: stage.issue(name) == {"status": "done"}, 60, "the end")
    assert stage.row(name)["fingerprint"] == stage.fingerprint(name)


def test_a_name_that_leads_elsewhere_is_not_ordered_and_what_was_found_is_told(stage: Stage) -> None:
    name = stage.fresh()
    stage.pebble.names.lead(name, "192.0.2.77")
    before = stage.orders()
    stage.want(name)

    answer = stage.issue(name)

    assert answer["kind"] == "dns"
    assert f"{name} leads to 192.0.2.77, which is not this platform." in answer["problem"]
    assert f"CNAME record for {name} that points to webapp-{stage.websites[name]}.localhost" in answer["problem"]
    assert stage.orders() == before
    assert stage.ask(f"look {name}")["detail"] == answer["problem"]
    assert stage.row(name)["problem"] == answer["problem"]


def test_once_the_dns_leads_here_the_order_goes_on_by_itself(stage: Stage) -> None:
    name = stage.fresh()
    stage.pebble.names.lead(name, "192.0.2.77")
    stage.want(name)
    assert stage.issue(name)["kind"] == "dns"

    stage.pebble.names.lead(name, "127.0.0.1")

    wait_for(lambda: stage.certified(name), 40, "the certificate")
    assert stage.row(name)["problem"] is None
    assert stage.ask(f"look {name}") == {"detail": None}


def test_a_name_without_a_wish_gets_none(stage: Stage) -> None:
    answer = stage.issue("nobody.example.org")

    assert (answer["status"], answer["kind"]) == ("failed", "platform")


def test_an_uploaded_certificate_is_left_alone(stage: Stage) -> None:
    name = stage.fresh()
    stage.pebble.names.lead(name, "192.0.2.77")
    stage.want(name)
    stage.change(name, kind="user-provided")
    before = stage.orders()

    answer = stage.issue(name)

    assert (answer["status"], answer["kind"]) == ("failed", "platform")
    assert "was uploaded" in answer["problem"]
    assert stage.orders() == before


@pytest.mark.parametrize(
    ("status", "body", "kind", "told"),
    [
        (500, {"type": SERVER_INTERNAL, "detail": "away"}, "unreachable", "says: away (serverInternal)"),
        (500, {"type": MALFORMED, "detail": "null"}, "unreachable", "says: null (malformed)"),
        (503, {"detail": "back soon"}, "unreachable", "says: back soon (HTTP 503)"),
        (503, b"back soon", "unreachable", "localhost is out of order: HTTP 503."),
        (429, b"slowly", "limit", "localhost takes no more requests now: HTTP 429."),
    ],
)
def test_an_authority_in_trouble_is_told_apart_from_one_that_refuses(
    stage: Stage, status: int, body: object, kind: str, told: str
) -> None:
    name = stage.fresh()
    stage.door.rule = lambda request: (status, {"Retry-After": "500"}, body) if request.path == "/order-plz" else None
    stage.want(name)
    before = time.time()

    answer = stage.issue(name)

    assert (answer["status"], answer["kind"]) == ("failed", kind)
    assert answer["problem"] == f"The certificate authority {told}"
    assert 499 < answer["retry_at"] - before < 600
    assert stage.row(name)["next_try_at"] >= answer["retry_at"]


@pytest.mark.parametrize("as_date", [False, True])
def test_a_limit_is_told_and_kept_until_it_ends(stage: Stage, as_date: bool) -> None:
    name, end = stage.fresh(), time.time() + 1000
    detail = "too many certificates already issued for this set of names"
    asked: list[str] = []

    def limited(request: Request) -> tuple[int, dict[str, str], object] | None:
        if request.path != "/order-plz" or request.answered:
            return None
        asked.append(request.path)
        after = formatdate(end, usegmt=True) if as_date else str(round(end - time.time()))
        return 429, {"Retry-After": after}, {"type": RATE_LIMITED, "detail": detail, "status": 429}

    stage.door.rule = limited
    stage.want(name)

    answer = stage.issue(name)

    assert (answer["status"], answer["kind"]) == ("failed", "limit")
    assert answer["retry_at"] == pytest.approx(end, abs=3)
    assert answer["problem"] == f"The certificate authority says: {detail} (rateLimited)"
    assert stage.issue(name) == answer
    assert len(asked) == 1, "the authority was asked again before its time"
    assert stage.row(name)["next_try_at"] == pytest.approx(end, abs=3)


def test_the_authoritys_own_words_are_told(stage: Stage) -> None:
    name = stage.fresh()
    problem = {"type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "policy forbids it", "status": 400}
    stage.door.rule = lambda request: (400, {}, problem) if request.path == "/order-plz" else None
    stage.want(name)

    answer = stage.issue(name)

    assert answer["kind"] == "authority"
    assert answer["problem"] == "The certificate authority says: policy forbids it (rejectedIdentifier)"
    assert stage.row(name)["problem"] == answer["problem"]


def test_a_website_that_is_deleted_meanwhile_gets_no_certificate(stage: Stage) -> None:
    name = stage.fresh()
    stage.want(name)

    def deleted(request: Request) -> None:
        if request.path.startswith("/certZ") and not request.answered:
            stage.delete(name)

    stage.door.rule = deleted

    assert stage.issue(name)["kind"] == "platform"

    assert not stage.certified(name)
    assert not list((stage.platform.config.secret_file.parent / "acme" / "orders").glob(f"{name}*"))


def test_keys_are_for_the_platforms_user_alone(stage: Stage) -> None:
    home = stage.platform.config.secret_file.parent / "acme"
    name = stage.fresh()
    seen: list[int] = []

    def look(request: Request) -> None:
        if request.path.startswith("/certZ"):
            seen.extend(file.stat().st_mode & 0o777 for file in (home / "orders").iterdir())

    stage.door.rule = look
    stage.want(name)
    stage.issue(name)

    assert set(seen) == {0o600}
    assert (home / "account.key").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700
    assert not list(stage.platform.config.offered.iterdir())
