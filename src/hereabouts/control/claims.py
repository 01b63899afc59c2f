"""Custom domains that another account holds: whoever proves by a DNS record that one is his own takes it over."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.conf import settings

from hereabouts.control import asking, certificates, domains
from hereabouts.control.models import Account, Domain, Website
from hereabouts.core.domains import challenge_name, challenge_value, is_custom
from hereabouts.errors import DomainTaken

_T = TypeVar("_T")


def take(account: Account, text: str, act: Callable[[int | None], _T]) -> _T:
    """What ``act`` returns, which gives the name to a website of the account.

    It is called with None; where another account holds the custom domain and the DNS proves it the caller's, again
    with the number of the website that has to give it up. Raises DomainTaken, with ``proof`` where that would help.
    """
    try:
        return act(None)
    except DomainTaken as taken:
        name = domains.parse_owned(account, text)
        former = _holder(account, name)
        if former is None:
            raise
        where, value = challenge_name(name), challenge_value(settings.SECRET_KEY.encode(), account.pk, name)
        proved, found = asking.proof(name, value)
        if not proved:
            proof = {"type": "TXT", "name": where, "value": value, "detail": found}
            raise DomainTaken(domain=name, proof=proof) from taken
    done = act(former)
    _tell(former, name)
    return done


def _holder(account: Account, name: str) -> int | None:
    """The website of another account that has this custom domain, if any."""
    if not is_custom(name, settings.CONFIG.domain):
        return None
    held = Domain.objects.filter(name=name).exclude(website__account=account)
    return held.values_list("website_id", flat=True).first()


def _tell(former: int, name: str) -> None:
    """Nobody is to see the former website, or its certificate, under that name any more."""
    generation = Website.objects.filter(pk=former).values_list("generation", flat=True).first() or 0
    asking.settle(former, generation, 0)
    certificates.withdraw_former(name)
