"""Which names are domain names, and whose they are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hereabouts.core.domains import Platform, check_ownership, cname, is_custom, parse_domain
from hereabouts.errors import InvalidInput

SITES = "sites.example.org"
HOST = "panel.example.org"
PLATFORM = Platform(SITES, HOST, frozenset({SITES, f"www.{SITES}", HOST}), ("corp.test",))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("alice.example.org", "alice.example.org"),
        (" Alice.Example.ORG. ", "alice.example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("a--b.example.org", "a--b.example.org"),
        ("1.example.org", "1.example.org"),
        ("a" * 63 + ".org", "a" * 63 + ".org"),
        (".".join(["a" * 61] * 4) + ".abcde", ".".join(["a" * 61] * 4) + ".abcde"),
    ],
)
def test_domain_is_taken(text: str, name: str) -> None:
    assert parse_domain(text) == name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "may not be blank"),
        (".", "may not be blank"),
        ("*.example.org", "wildcard"),
        ("127.0.0.1", "IP address"),
        ("[::1]", "IP address"),
        ("fe80::1%eth0", "IP address"),
        ("example", "at least two parts"),
        ("example.123", "can't be a number"),
        ("a" * 64 + ".org", "63 characters"),
        (".".join(["a" * 61] * 4) + ".abcdefg", "253 characters; this one has 255"),
        ("a..org", "letters, digits and dashes"),
        (".example.org", "letters, digits and dashes"),
        ("-a.example.org", "letters, digits and dashes"),
        ("a-.example.org", "letters, digits and dashes"),
        ("a_b.example.org", "letters, digits and dashes"),
        ("a.example.org:80", "letters, digits and dashes"),
        ("a.example.org/x", "letters, digits and dashes"),
        ("../../etc/passwd", "letters, digits and dashes"),
        ("a b.org", "letters, digits and dashes"),
        ("a\0.org", "letters, digits and dashes"),
        ("a\n.org", "letters, digits and dashes"),
        ("ü" * 300 + ".org", "not a valid international domain name"),
        ("☃\ud800.org", "not a valid international domain name"),
    ],
)
def test_domain_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(problem)) as refusal:
        parse_domain(text)
    assert refusal.value.field == "domain_name"


WORDS = st.lists(
    st.one_of(st.text(max_size=70), st.from_regex(r"\A[a-zA-Z0-9ü.*:\-]{0,70}\Z"), st.sampled_from(["xn--", "1", ""])),
    max_size=6,
)


@given(st.one_of(st.text(), WORDS.map(".".join)))
def test_parsing_refuses_or_gives_a_plain_name(text: str) -> None:
    try:
        name = parse_domain(text)
    except InvalidInput as refusal:
        refusal.problem.encode()
        return
    assert len(name) <= 253
    assert re.fullmatch(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]+", name)
    assert parse_domain(name) == name


@pytest.mark.parametrize(
    "name",
    [
        f"alice.{SITES}", f"blog-alice.{SITES}", f"a-b-alice.{SITES}", "alice.org", "bob.org", "www.example.net",
        f"x{SITES}", "mail.example.org", "xcorp.test", "example.net",
    ],
)  # fmt: skip
def test_names_that_alice_may_take(name: str) -> None:
    check_ownership(name, "alice", PLATFORM)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (f"bob.{SITES}", "your websites can be alice."),
        (f"alice-bob.{SITES}", "your websites can be alice."),
        (f"xalice.{SITES}", "your websites can be alice."),
        (f"a.alice.{SITES}", "your websites can be alice."),
        (f"a.b-alice.{SITES}", "your websites can be alice."),
        (f"webapp-3.{SITES}", "your websites can be alice."),
        (SITES, "a name of the platform"),
        (f"www.{SITES}", "a name of the platform"),
        ("panel.example.org", "a name of the platform"),
        ("example.org", "a name of the platform"),
        (f"x.{HOST}", f"below {HOST} belongs to the platform"),
        ("corp.test", "corp.test is reserved"),
        ("a.b.corp.test", "corp.test is reserved"),
        ("anything.localhost", "under localhost"),
    ],
)
def test_names_that_alice_may_not_take(name: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        check_ownership(name, "alice", PLATFORM)


@pytest.mark.parametrize(("name", "mine"), [("alice.localhost", True), ("a.b.localhost", False), ("localhost", False)])
def test_names_under_localhost(name: str, mine: bool) -> None:
    platform = Platform("localhost", "localhost", frozenset({"localhost"}))
    if mine:
        check_ownership(name, "alice", platform)
        return
    with pytest.raises(InvalidInput):
        check_ownership(name, "alice", platform)


def test_the_sites_domain_may_lie_below_the_host_and_in_what_is_reserved() -> None:
    platform = Platform(SITES, "example.org", frozenset({SITES, "example.org"}), ("example.org", f"alice.{SITES}"))
    check_ownership(f"blog-alice.{SITES}", "alice", platform)
    for name in ("mail.example.org", "org", f"alice.{SITES}"):
        with pytest.raises(InvalidInput):
            check_ownership(name, "alice", platform)


def test_custom_domains_and_where_they_point() -> None:
    assert is_custom("www.example.org", SITES)
    assert not is_custom(f"alice.{SITES}", SITES)
    assert cname(42, SITES) == f"webapp-42.{SITES}"
