"""Does a domain lead here? What its DNS says, in words that help its owner to mend it.

What could not be looked up is never called wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdata
import dns.rdatatype
import dns.resolver
import dns.rrset
from dns.rdtypes.ANY.TXT import TXT

from hereabouts.config import Config
from hereabouts.config.rules import parse_resolver
from hereabouts.core.domains import cname

_SERVER_SECONDS = 2.0
_LIFETIME_SECONDS = 6.0
PROOF_LABEL = "_hereabouts-challenge"


@dataclass(frozen=True, slots=True)
class Finding:
    """What the DNS says of a name: whether it leads here, None when that can't be said, and what to tell its owner.

    ``detail`` says what was found, what is expected and which record to create; None when it leads here.
    """

    leads_here: bool | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class _Answer:
    """The names that a name stands for, and the values at their end. ``failure`` says why none could be had."""

    names: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    exists: bool = True
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class _Ours:
    """The addresses that names must lead to. ``failure`` says why those of the IP versions ``unknown`` are not."""

    addresses: frozenset[str] = frozenset()
    unknown: frozenset[int] = frozenset()
    failure: str | None = None


class Dns:
    """Lookups through the name servers of the settings."""

    def __init__(self, config: Config) -> None:
        self._config = config

    async def leads_here(self, name: str, website_id: int | None) -> Finding:
        """Look a name up: a website's custom domain, or, without ``website_id``, one of the platform's own."""
        own, found, six = await asyncio.gather(self._ours(), self._ask(name, "A"), self._ask(name, "AAAA"))
        target = cname(website_id, self._config.domain) if website_id is not None else None
        ours, answer = own.addresses, _both(found, six)
        if target is not None and target in answer.names:
            return Finding(True, None)
        if own.unknown and answer.values:  # what can't be compared is not judged
            answer = replace(answer, values=tuple(v for v in answer.values if ip_address(v).version not in own.unknown))
            if not answer.values:
                why = f"{self._config.host} could not be looked up: {own.failure} It will be looked up again."
                return Finding(None, f"Whether {name} leads to this platform can't be told: {why}")
        addresses = set(answer.values)
        if addresses and addresses <= ours:
            return Finding(True, None)
        if answer.failure:
            return Finding(None, f"{name} could not be looked up: {answer.failure} It will be looked up again.")
        unknown = bool(addresses) and not ours  # it may well be here, by an ALIAS record for instance
        detail = f"{_wrong(name, answer, ours)} {await self._advice(name, target, ours)}"
        return Finding(None if unknown else False, detail.strip())

    async def own_addresses(self) -> frozenset[str]:
        """The addresses that names must lead to: the setting's, else what the platform's own host has."""
        return (await self._ours()).addresses

    async def _ours(self) -> _Ours:
        if self._config.addresses:
            return _Ours(frozenset(str(ip_address(address)) for address in self._config.addresses))
        if self._config.local:
            return _Ours()
        host = self._config.host
        four, six = await asyncio.gather(self._ask(host, "A"), self._ask(host, "AAAA"))
        unknown = frozenset(version for version, answer in ((4, four), (6, six)) if answer.failure)
        return _Ours(frozenset(four.values + six.values), unknown, four.failure or six.failure)

    async def proof(self, name: str, value: str) -> tuple[bool, list[str]]:
        """Whether the TXT record that proves whose a name is holds a value; all the values that it has."""
        answer = await self._ask(f"{PROOF_LABEL}.{name}", "TXT")
        return value in answer.values, sorted(answer.values)

    async def _advice(self, name: str, target: str | None, ours: frozenset[str]) -> str:
        """Which record to create."""
        records = _and(f"{_kind(address)} record with {address}" for address in _sorted(ours))
        if target is None:
            return f"It needs {records}: the platform's operator sets that." if ours else ""
        if not await self._is_apex(name):
            return (
                f"It must lead to this platform: create a CNAME record for {name} that points to {target}, "
                "and remove its other address records."
            )
        if ours:
            return (
                f"It must lead to this platform: create for {name} {records} (or, where your DNS provider has it, "
                f"an ALIAS record that points to {target}), and remove its other address records."
            )
        return (
            f"It must lead to this platform: create an ALIAS (or ANAME) record for {name} that points to {target}, "
            "and remove its address records."
        )

    async def _is_apex(self, name: str) -> bool:
        """Whether a zone begins here, so that no CNAME record may be (RFC 1912, 2.4)."""
        return name.count(".") == 1 or bool((await self._ask(name, "NS")).values)

    async def _ask(self, name: str, kind: str) -> _Answer:
        """One question. Never raises; an answer follows CNAME records to their end."""
        resolver = self._resolver()
        try:
            asked = dns.name.from_text(name)
            found = await resolver.resolve(asked, kind, search=False, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN as error:
            responses: dict[dns.name.Name, dns.message.QueryMessage] = error.kwargs.get("responses", {})
            return _Answer(_aliases(each for found in responses.values() for each in found.answer), exists=False)
        except dns.exception.Timeout:
            return _Answer(failure="the name servers did not answer in time.")
        except dns.resolver.NoNameservers:
            return _Answer(failure="its name servers answer with an error.")
        except (dns.exception.DNSException, OSError, ValueError) as error:
            return _Answer(failure=f"{error}.")
        names = _aliases(found.response.answer)
        if found.rrset is None or (kind == "NS" and names):
            return _Answer(names)
        return _Answer(names, tuple(_text(record) for record in found.rrset))

    def _resolver(self) -> dns.asyncresolver.Resolver:
        given = self._config.resolvers
        resolver = dns.asyncresolver.Resolver(configure=not given)
        if given:
            servers = [parse_resolver(text) for text in given]
            resolver.nameservers = [dns.nameserver.Do53Nameserver(*server) for server in servers if server]
        resolver.timeout, resolver.lifetime = _SERVER_SECONDS, _LIFETIME_SECONDS
        return resolver


def _aliases(sections: Iterable[dns.rrset.RRset]) -> tuple[str, ...]:
    """The names that the CNAME records of an answer point to."""
    return tuple(
        str(record.target).rstrip(".").lower()
        for section in sections
        if section.rdtype == dns.rdatatype.CNAME
        for record in section
    )


def _text(record: dns.rdata.Rdata) -> str:
    if isinstance(record, TXT):
        return b"".join(record.strings).decode(errors="replace")
    return str(record.to_text())


def _both(four: _Answer, six: _Answer) -> _Answer:
    """A and AAAA together; they failed when nothing is known and one of them did."""
    values = four.values + six.values
    failure = None if values else four.failure or six.failure
    return _Answer(four.names or six.names, values, four.exists and six.exists, failure)


def _wrong(name: str, answer: _Answer, ours: frozenset[str]) -> str:
    """What was found, where that is not what should be."""
    via = f" (by a CNAME record to {answer.names[-1]})" if answer.names else ""
    strange = _sorted(set(answer.values) - ours)
    if not answer.values:
        what = "does not exist" if not answer.exists and not answer.names else "has no address"
        return f"{name}{via} {what}."
    known = _sorted(set(answer.values) & ours)
    if known:
        return f"{name}{via} leads only partly to this platform: to {_and(known)}, but also to {_and(strange)}."
    return f"{name}{via} leads to {_and(strange)}" + (
        ", which is not this platform."
        if ours
        else "; this platform's own addresses are not known (setting addresses)."
    )


def _kind(address: str) -> str:
    return "an AAAA" if ":" in address else "an A"


def _sorted(addresses: Iterable[str]) -> list[str]:
    return sorted(addresses, key=lambda address: (":" in address, address))


def _and(parts: Iterable[str]) -> str:
    *first, last = list(parts) or ["nothing"]
    return f"{', '.join(first)} and {last}" if first else last
