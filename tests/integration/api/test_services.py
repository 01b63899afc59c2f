"""The writers of what is wanted, called as the command line calls them."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest

from hereabouts.config import Config
from hereabouts.errors import (
    AccountExists,
    DomainTaken,
    InvalidInput,
    NoSuchAccount,
    NoSuchWebsite,
    WebsiteDisabled,
)
from tests.integration.api.conftest import Caller


@pytest.fixture(autouse=True)
def no_visitors(services: ModuleType) -> None:
    """The accounts that these tests made are gone."""
    for account in services.accounts().filter(username__startswith="test"):
        services.remove_account(account)


def test_an_account(services: ModuleType, config: Config) -> None:
    account = services.create_account(" TestAnn ", "correct horse battery")
    assert (account.username, account.is_operator, account.is_active) == ("testann", False, True)
    assert config.uid_first < account.uid < config.uid_first + config.uid_count
    assert account.check_password("correct horse battery")
    assert "correct horse" not in account.password
    assert services.find_account("TESTANN") == account
    assert services.create_account("testop", None, operator=True).is_operator
    assert not services.find_account("testop").has_usable_password()


def test_the_lowest_free_uid(services: ModuleType) -> None:
    accounts = [services.create_account(f"test{number}", None) for number in range(3)]
    uids = [account.uid for account in accounts]
    assert len(set(uids)) == 3
    services.remove_account(accounts[1])
    assert services.create_account("testagain", None).uid == uids[1]


def test_accounts_made_at_once_have_uids_of_their_own(services: ModuleType) -> None:
    from django.db import connection

    def create(number: int) -> int:
        try:
            return services.create_account(f"test{number}", None).uid
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(create, range(16)))) == 16


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a" * 31, "root", "www", "ä", "a\0b", "a b"])
def test_a_name_that_will_not_do(services: ModuleType, name: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        services.create_account(name, None)
    assert refusal.value.field == "username"


def test_a_weak_password(services: ModuleType) -> None:
    for password in ("short", "password"):
        with pytest.raises(InvalidInput, match="password"):
            services.create_account("testann", password)
    with pytest.raises(NoSuchAccount):
        services.find_account("testann")


def test_a_name_that_exists(services: ModuleType) -> None:
    services.create_account("testann", None)
    with pytest.raises(AccountExists, match="named testann exists already"):
        services.create_account("TestAnn", None)


def test_a_token_is_stored_only_as_a_hash(services: ModuleType) -> None:
    account = services.create_account("testann", None)
    before = account.token_epoch
    token = services.create_token(account)
    assert re.fullmatch("[0-9a-f]{40}", token)
    assert account.token_epoch == before + 1
    assert token not in str(vars(account))
    assert services.authenticate_token(token) == account
    services.revoke_token(account)
    assert (account.token_hash, account.token_created_at, account.token_epoch) == (None, None, before + 2)
    assert services.authenticate_token(token) is None


@pytest.mark.parametrize("token", ["", "0" * 40, "x" * 40, "\0" * 40, "0" * 39, "\ud800", "٣" * 40])
def test_nobodys_token(services: ModuleType, token: str) -> None:
    assert services.authenticate_token(token) is None


def test_removing_an_account_takes_its_websites(services: ModuleType) -> None:
    account = services.create_account("testann", None)
    website = services.create_website(account, "testann.example.org", {"command": "true"})
    stale = services.find_account("testann")
    services.remove_account(account)
    with pytest.raises(NoSuchWebsite):
        services.latest(website)
    with pytest.raises(NoSuchAccount):
        services.create_website(stale, "testann.example.org", {"command": "true"})


def test_generations(services: ModuleType, alice: Caller) -> None:
    website = services.create_website(services.find_account("alice"), "alice.example.org", {"command": "true"})
    assert website.generation == 1
    assert services.change_website(website, {"command": "true"}, enabled=True) == 1
    assert services.reload_website(website) == 2
    assert services.change_website(website, {"command": "false"}) == 3
    assert services.change_website(website, enabled=False) == 3
    with pytest.raises(WebsiteDisabled):
        services.reload_website(website)
    assert services.change_website(website, enabled=True) == 4
    assert services.latest(website).value().generation == 4
    services.delete_website(website)
    for change in (services.reload_website, services.change_website, services.latest):
        with pytest.raises(NoSuchWebsite, match=r"alice\.example\.org"):
            change(website)


def test_reloads_at_once_are_all_counted(services: ModuleType, alice: Caller) -> None:
    from django.db import connection

    website = services.create_website(services.find_account("alice"), "alice.example.org", {"command": "true"})

    def reload(_: int) -> int:
        try:
            return int(services.reload_website(website))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(reload, range(16))) == list(range(2, 18))


def test_finding(services: ModuleType, alice: Caller, bob: Caller) -> None:
    account = services.find_account("alice")
    website = services.create_website(account, "www.bücher.test", {"command": "true"})
    for owner in (account, None):
        assert services.find_website(owner, "WWW.bücher.test.") == website
    for owner, name in ((services.find_account("bob"), "www.bücher.test"), (None, "x.test"), (None, "\0")):
        with pytest.raises(NoSuchWebsite):
            services.find_website(owner, name)
    with pytest.raises(DomainTaken, match=r"www\.xn--bcher-kva\.test belongs to a website already"):
        services.create_website(account, "www.xn--bcher-kva.test", {"command": "true"})


def test_suspending_an_account_takes_few_statements_however_many_websites_it_has(services: ModuleType) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from hereabouts.control import accounts
    from hereabouts.control.models import AuditEntry, Website

    account = services.create_account("testmany", None)
    names = [f"w{number}-testmany.example.org" for number in range(30)]
    for name in names:
        services.create_website(account, name, {"command": "true"})
    services.change_website(services.find_website(account, names[0]), enabled=False)
    last = AuditEntry.objects.latest("pk").pk

    with CaptureQueriesContext(connection) as suspending:
        stopped = accounts.suspend(account)
    assert [website.domain_name for website in stopped] == names[1:]
    assert not Website.objects.filter(account=account, enabled=True).exists()
    with CaptureQueriesContext(connection) as resuming:
        resumed = accounts.resume(account)
    assert [website.domain_name for website in resumed] == names[1:]
    stored = Website.objects.filter(account=account).order_by("pk").values_list("enabled", "resumes", "generation")
    assert list(stored) == [(False, False, 1), *[(True, False, 2)] * 29]
    noted = list(AuditEntry.objects.filter(pk__gt=last).order_by("pk").values_list("action", "target"))
    assert noted == [
        ("account.suspend", "testmany"), *(("website.disable", name) for name in names[1:]),
        ("account.resume", "testmany"), *(("website.enable", name) for name in names[1:]),
    ]  # fmt: skip
    assert max(len(suspending), len(resuming)) < 20
