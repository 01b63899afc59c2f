"""The account at the authority, and orders, without a platform around them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hereabouts import config as configuration
from hereabouts.certificates.account import Account
from hereabouts.certificates.acme import Authority
from hereabouts.config import Config
from hereabouts.errors import OrderFailed
from tests.pebble import Door, Pebble, Request, door, pebble

RATE_LIMITED = "urn:ietf:params:acme:error:rateLimited"

KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"  # as its customers get one


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """A Pebble that takes every name's proof for good."""
    with pebble(tmp_path_factory.mktemp("pebble"), PEBBLE_VA_ALWAYS_VALID="1", PEBBLE_WFE_NONCEREJECT="0") as made:
        made.start()
        yield made


@pytest.fixture
def before(authority: Pebble) -> Iterator[Door]:
    with door(authority) as made:
        yield made


def settings(place: Path, directory: str, authority: Pebble, **more: str) -> Config:
    wanted = {
        "DATA_DIR": str(place / "var"), "RUN_DIR": str(place / "run"), "ACME_DIRECTORY": directory,
        "ACME_TRUST": str(authority.trust), **more,
    }  # fmt: skip
    (place / "var" / "control").mkdir(parents=True)
    (place / "run" / "certificates").mkdir(parents=True)
    return configuration.load({f"HEREABOUTS_{name}": value for name, value in wanted.items()}, place)


def register(config: Config) -> OrderFailed | None:
    """What became of the try to have an account."""
    try:
        with Account(config, config.secret_file.parent).client():
            return None
    except OrderFailed as failure:
        return failure


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """A Pebble that takes only accounts of its customers."""
    more = {"externalAccountBindingRequired": True, "externalAccountMACKeys": {"kid-1": KEY}}
    with pebble(tmp_path_factory.mktemp("bound"), PEBBLE_WFE_NONCEREJECT="0") as made:
        made.more = more
        made.start()
        yield made


def test_an_authority_that_wants_an_account_bound_gets_it(short_path: Path, bound: Pebble) -> None:
    (short_path / "key").write_text(f"{KEY}\n")
    config = settings(short_path, bound.url, bound, ACME_EAB_KEY_ID="kid-1", ACME_EAB_KEY_FILE=str(short_path / "key"))

    assert register(config) is None


def test_without_the_settings_for_it_they_are_named(short_path: Path, bound: Pebble) -> None:
    failure = register(settings(short_path, bound.url, bound))

    assert failure is not None
    assert failure.kind == "platform"
    assert "sets `acme_eab_key_id` and `acme_eab_key_file` to what it gave" in failure.problem


@pytest.mark.parametrize(
    ("key", "kind", "told"),
    [
        (KEY[::-1], "authority", "The certificate authority says: "),
        ("ümlaut", "platform", "key (`acme_eab_key_file`) is not the key as an authority gives it"),
        ("x", "platform", "key (`acme_eab_key_file`) is not the key as an authority gives it"),
    ],
)
def test_a_wrong_key_is_told(short_path: Path, bound: Pebble, key: str, kind: str, told: str) -> None:
    (short_path / "key").write_text(key)

    failure = register(
        settings(short_path, bound.url, bound, ACME_EAB_KEY_ID="kid-1", ACME_EAB_KEY_FILE=str(short_path / "key"))
    )

    assert failure is not None
    assert failure.kind == kind
    assert told in failure.problem


def test_an_authority_that_nobody_listens_at_is_told_as_such(short_path: Path, bound: Pebble) -> None:
    failure = register(settings(short_path, "https://localhost:1/dir", bound))

    assert failure is not None
    assert failure.kind == "unreachable"
    assert failure.problem == "The certificate authority localhost can't be reached: Connection refused."


def test_a_limit_on_new_accounts_is_kept_until_it_ends(short_path: Path, authority: Pebble, before: Door) -> None:
    problem = {"type": RATE_LIMITED, "detail": "too many registrations"}
    before.rule = lambda request: (429, {"Retry-After": "7000"}, problem) if request.path == "/sign-me-up" else None

    failure = register(settings(short_path, before.url, authority))

    assert failure is not None
    assert (failure.kind, failure.problem) == (
        "limit", "The certificate authority says: too many registrations (rateLimited)",
    )  # fmt: skip
    assert failure.retry_at == pytest.approx(time.time() + 7000, abs=100)


def test_an_order_that_takes_its_time_goes_on_with_the_next_try(
    short_path: Path, authority: Pebble, before: Door
) -> None:
    config = settings(short_path, before.url, authority)
    slow = {"status": "processing", "identifiers": [], "authorizations": [], "finalize": "https://localhost/"}

    def rule(request: Request) -> tuple[int, dict[str, str], object] | None:
        return (200, {"Replay-Nonce": "bm9uZQ"}, slow) if request.path.startswith("/my-order") else None

    before.rule = rule
    with pytest.raises(OrderFailed, match="still at it") as failed:
        Authority(config, patience=0.2).issue("www.example.org")
    assert failed.value.kind == "waiting"

    before.rule = lambda _: None

    assert b"BEGIN CERTIFICATE" in Authority(config).issue("www.example.org")
    assert before.seen.count("/order-plz") == 1
