"""What an owner is told of his domain's DNS, by a name server that answers in every way there is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from hereabouts import config as configuration
from hereabouts.certificates.dns import Dns, Finding
from hereabouts.config import Config
from tests.nameserver import NameServer, name_server

OURS = ("192.0.2.10", "2001:db8::10")
ZONE: dict[str, dict[str, list[str]]] = {
    "sites.test": {"A": ["192.0.2.10"], "AAAA": ["2001:db8::10"]},
    "webapp-3.sites.test": {"A": ["192.0.2.10"], "AAAA": ["2001:db8::10"]},
    "www.good.test": {"CNAME": ["webapp-3.sites.test."]},
    "www.chain.test": {"CNAME": ["www.good.test."]},
    "www.address.test": {"A": ["192.0.2.10"]},
    "www.both.test": {"A": ["192.0.2.10"], "AAAA": ["2001:db8::10"]},
    "www.elsewhere.test": {"A": ["93.184.216.34"]},
    "www.partly.test": {"A": ["192.0.2.10"], "AAAA": ["2001:db8::66"]},
    "www.other-cname.test": {"CNAME": ["host.elsewhere.test."]},
    "host.elsewhere.test": {"A": ["93.184.216.34"]},
    "www.other-website.test": {"CNAME": ["webapp-4.sites.test."]},
    "webapp-4.sites.test": {"A": ["192.0.2.10"]},
    "www.dangling.test": {"CNAME": ["gone.test."]},
    "www.empty.test": {"TXT": ["hello"]},
    "apex.test": {"A": ["93.184.216.34"], "NS": ["ns.apex.test."]},
    "zone.example.test": {"A": ["93.184.216.34"], "NS": ["ns.apex.test."]},
    "_hereabouts-challenge.www.proof.test": {"TXT": ['"first"', '"sec" "ond"']},
}


@pytest.fixture
def server() -> Iterator[NameServer]:
    with name_server(dict(ZONE)) as made:
        yield made


@pytest.fixture
def config(server: NameServer) -> Config:
    environ = {
        "HEREABOUTS_DOMAIN": "sites.test", "HEREABOUTS_RESOLVERS": server.address,
        "HEREABOUTS_ADDRESSES": " ".join(OURS),
    }  # fmt: skip
    return configuration.load(environ)


def look(config: Config, name: str, website: int | None = 3) -> Finding:
    return asyncio.run(Dns(config).leads_here(name, website))


@pytest.mark.parametrize(
    "name", ["www.good.test", "www.chain.test", "www.address.test", "www.both.test", "www.other-website.test"]
)
def test_it_leads_here(config: Config, name: str) -> None:
    assert look(config, name) == Finding(True, None)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("www.elsewhere.test", "www.elsewhere.test leads to 93.184.216.34, which is not this platform."),
        ("www.partly.test", "only partly to this platform: to 192.0.2.10, but also to 2001:db8::66."),
        ("www.other-cname.test", "(by a CNAME record to host.elsewhere.test) leads to 93.184.216.34"),
        ("www.nothing.test", "www.nothing.test does not exist."),
        ("www.dangling.test", "(by a CNAME record to gone.test) has no address."),
        ("www.empty.test", "www.empty.test has no address."),
    ],
)
def test_a_subdomain_that_leads_elsewhere_is_told_with_its_cname_record(config: Config, name: str, told: str) -> None:
    found = look(config, name)

    assert found.leads_here is False
    assert told in (found.detail or "")
    assert f"create a CNAME record for {name} that points to webapp-3.sites.test" in (found.detail or "")


@pytest.mark.parametrize("name", ["apex.test", "zone.example.test"])
def test_where_a_zone_begins_address_records_are_advised(config: Config, name: str) -> None:
    detail = look(config, name).detail or ""

    assert "an A record with 192.0.2.10 and an AAAA record with 2001:db8::10" in detail
    assert "CNAME record for" not in detail
    assert "ALIAS record that points to webapp-3.sites.test" in detail


def test_without_the_setting_the_addresses_are_those_of_the_platforms_own_host(config: Config) -> None:
    assert look(replace(config, addresses=()), "www.both.test") == Finding(True, None)
    assert look(replace(config, addresses=()), "www.elsewhere.test").leads_here is False


def test_with_addresses_unknown_nothing_is_called_wrong(config: Config, server: NameServer) -> None:
    del server.zone["sites.test"]

    found = look(replace(config, addresses=()), "www.elsewhere.test")

    assert found.leads_here is None
    assert "own addresses are not known" in (found.detail or "")


class Half(set[str]):
    """The host, whenever the last question was for this type."""

    def __init__(self, server: NameServer, kind: str) -> None:
        super().__init__()
        self._server, self._kind = server, kind

    def __contains__(self, name: object) -> bool:
        return (name, self._kind) == ("sites.test", self._server.asked[-1][1])


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("AAAA", "www.both.test", None),
        ("AAAA", "www.partly.test", None),
        ("A", "www.both.test", None),
        ("AAAA", "www.elsewhere.test", "leads to 93.184.216.34, which is not this platform"),
        ("A", "www.partly.test", "leads to 2001:db8::66, which is not this platform"),
        ("A", "www.address.test", "can't be told: sites.test could not be looked up: its name servers answer with"),
        ("A", "www.elsewhere.test", "can't be told: sites.test could not be looked up: its name servers answer with"),
    ],
)
def test_what_could_not_be_looked_up_of_the_host_is_not_what_a_name_is_judged_by(
    config: Config, server: NameServer, kind: str, name: str, told: str | None
) -> None:
    server.broken = Half(server, kind)

    found = look(replace(config, addresses=()), name)

    assert (found.detail is None) == (told is None), found
    assert (told or "") in (found.detail or "")
    assert found.leads_here is (True if told is None else None if "can't be told" in told else False)


@pytest.mark.parametrize("trouble", ["broken", "silent"])
def test_what_could_not_be_looked_up_is_not_called_wrong(config: Config, server: NameServer, trouble: str) -> None:
    getattr(server, trouble).add("www.good.test")

    found = look(config, "www.good.test")

    assert found.leads_here is None
    assert (found.detail or "").startswith("www.good.test could not be looked up: ")


def test_a_name_server_that_is_away_is_no_proof_of_anything(config: Config) -> None:
    found = look(replace(config, resolvers=("127.0.0.1:1",)), "www.good.test")

    assert found.leads_here is None
    assert "could not be looked up" in (found.detail or "")


def test_one_of_the_platforms_own_names_needs_its_addresses(config: Config) -> None:
    assert look(config, "sites.test", None) == Finding(True, None)
    found = look(config, "www.elsewhere.test", None)
    assert found.leads_here is False
    assert "needs an A record with 192.0.2.10 and an AAAA record with 2001:db8::10" in (found.detail or "")


def test_a_txt_record_proves_whose_a_name_is(config: Config) -> None:
    dns = Dns(config)

    assert asyncio.run(dns.proof("www.proof.test", "second")) == (True, ["first", "second"])
    assert asyncio.run(dns.proof("www.proof.test", "third")) == (False, ["first", "second"])
    assert asyncio.run(dns.proof("www.good.test", "first")) == (False, [])
