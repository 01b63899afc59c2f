"""Which names an account may take for its websites."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from ipaddress import ip_address

import idna

from hereabouts.errors import InvalidInput

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_MAX_NAME = 253


def _refuse(problem: str) -> InvalidInput:
    return InvalidInput("domain_name", problem)


def parse_domain(text: str) -> str:
    """The domain in lower case with IDNA A-labels (RFC 5891), or InvalidInput with a sentence.

    At most 253 characters, labels at most 63 (RFC 1035); no IP address, no wildcard, no port.
    """
    name = text.strip().lower().removesuffix(".")
    if not name:
        raise _refuse("This field may not be blank.")
    if name.startswith("*"):
        raise _refuse("A wildcard can't be the domain of a website. Name one host, such as www.example.org.")
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode().lower()
        except (idna.IDNAError, UnicodeError):
            raise _refuse(f"{text!r:.120} is not a valid international domain name.") from None
    if _is_address(name):
        raise _refuse("An IP address can't be the domain of a website. Use a host name.")
    if len(name) > _MAX_NAME:
        raise _refuse(f"A domain name has at most {_MAX_NAME} characters; this one has {len(name)}.")
    labels = name.split(".")
    if any(len(label) > 63 for label in labels):
        raise _refuse("Each part of a domain name has at most 63 characters.")
    if not all(_LABEL.match(label) for label in labels):
        raise _refuse("A domain name has letters, digits and dashes between its dots, such as www.example.org.")
    if len(labels) < 2:
        raise _refuse("A domain name has at least two parts, such as www.example.org.")
    if labels[-1].isdigit():
        raise _refuse("The last part of a domain name can't be a number.")
    return name


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Platform:
    """The operator's own names: ``hosts`` are the platform's, ``reserved`` further ones with all below them."""

    sites_domain: str
    host: str
    hosts: frozenset[str]
    reserved: tuple[str, ...] = ()


def check_ownership(name: str, username: str, platform: Platform) -> None:
    """Refuse a (parsed) name that this account may not take.

    Under the sites domain an account has ``{username}`` and ``{anything}-{username}``; everything outside
    it is a custom domain, but for what the sites domain or the host lie in, or lies below the host.
    """
    sites_domain, host = platform.sites_domain, platform.host
    custom = is_custom(name, sites_domain)
    if name in platform.hosts or _is_within(sites_domain, name) or _is_within(host, name):
        raise _refuse(f"{name} is a name of the platform itself. Choose another one.")
    if custom and _is_within(name, host):
        raise _refuse(f"What lies below {host} belongs to the platform itself. Choose another name.")
    for reserved in platform.reserved:
        # The sites domain may lie in a domain that is reserved as a whole.
        if _is_within(name, reserved) and (custom or not _is_within(sites_domain, reserved)):
            raise _refuse(f"{reserved} is reserved by the operator of this platform. Choose another name.")
    if custom:
        if name.endswith(".localhost"):
            raise _refuse("A name under localhost can't be the domain of a website.")
    else:
        label = name.removesuffix(f".{sites_domain}")
        if "." in label or not (label == username or label.endswith(f"-{username}")):
            raise _refuse(
                f"Under {sites_domain} your websites can be {username}.{sites_domain} "
                f"or anything-{username}.{sites_domain}."
            )


def _is_within(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}")


def is_custom(name: str, sites_domain: str) -> bool:
    """Whether the name is its owner's own domain, outside the platform's."""
    return not name.endswith(f".{sites_domain}")


def cname(website_id: int, sites_domain: str) -> str:
    """The name that the CNAME record of a custom domain must point to."""
    return f"webapp-{website_id}.{sites_domain}"


def challenge_name(name: str) -> str:
    """Where the owner of a custom domain that another account holds puts a TXT record to prove that it is his."""
    return f"_hereabouts-challenge.{name}"


def challenge_value(secret: bytes, account_id: int, name: str) -> str:
    """What that record must hold: 40 hex digits for this account and name, derived, stored nowhere."""
    message = f"domain-challenge:{account_id}:{name}".encode()
    return hmac.new(secret, message, hashlib.sha256).hexdigest()[:40]
