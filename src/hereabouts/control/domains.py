"""The names of websites: every write of them. Like services, it knows nothing of HTTP.

A transaction locks an account before websites, and a website before its names: no two ever wait for each other.
"""

from __future__ import annotations

from django.conf import settings
from django.db import IntegrityError, transaction

from hereabouts.config import Config
from hereabouts.control import audit
from hereabouts.control.models import Account, Action, Certificate, Domain, Website
from hereabouts.core.certificate import Kind
from hereabouts.core.domains import Platform, check_ownership, cname, is_custom, parse_domain
from hereabouts.errors import DomainTaken, InvalidInput, MainDomain, NoSuchDomain, NoSuchWebsite


def _config() -> Config:
    config: Config = settings.CONFIG
    return config


def parse_owned(account: Account, text: str) -> str:
    """The name, if the account may take it, whoever holds it. Raises InvalidInput."""
    config = _config()
    name = parse_domain(text)
    platform = Platform(config.domain, config.host, config.platform_hosts, config.reserved_domains)
    check_ownership(name, account.username, platform)
    return name


def find(account: Account, text: str, website: Website | None = None) -> Domain:
    """The account's domain of that name, or only the website's. Raises NoSuchDomain."""
    try:
        name = parse_domain(text)
    except InvalidInput:
        raise NoSuchDomain(domain=text) from None
    domains = Domain.objects.select_related("website").filter(name=name, website__account=account)
    domain = (domains if website is None else domains.filter(website=website)).first()
    if domain is None:
        raise NoSuchDomain(domain=name)
    return domain


def add(website: Website, text: str, *, redirects: bool = False, former: int | None = None) -> Domain:
    """Another name for the website; taken from the website ``former``, where that one must give it up.

    Raises InvalidInput, DomainTaken, NoSuchWebsite.
    """
    name = parse_owned(website.account, text)
    try:
        with transaction.atomic():
            lock_account(website.account)
            if former is not None:
                release(name, former)
            audit.note(Action.DOMAIN_ADD, name, f"website {website.domain_name}")
            return hold(website, name, redirects=redirects)
    except IntegrityError:
        if Website.objects.filter(pk=website.pk).exists():
            raise DomainTaken(domain=name) from None
        raise NoSuchWebsite(domain=name) from None  # deleted meanwhile


def change(domain: Domain, *, redirects: bool) -> None:
    """Whether the domain redirects to the website's main name. Raises MainDomain, NoSuchDomain."""
    same = Domain.objects.filter(pk=domain.pk)
    with transaction.atomic():
        if same.filter(is_main=False, redirects=not redirects).update(redirects=redirects):
            audit.note(Action.DOMAIN_CHANGE, domain.name, "redirects" if redirects else "serves")
    found = same.first()
    if found is None:
        raise NoSuchDomain(domain=domain.name)
    if redirects and found.is_main:
        raise MainDomain(domain=domain.name, problem="to which others redirect, so it always serves.")
    domain.redirects = redirects


def make_main(domain: Domain) -> None:
    """Let the website be known by this one of its names; the former main one serves it, too. Raises NoSuchDomain."""
    with transaction.atomic():
        lock(domain.website_id)
        found = Domain.objects.filter(pk=domain.pk).first()
        if found is None:
            raise NoSuchDomain(domain=domain.name)
        if not found.is_main:
            Domain.objects.filter(website=domain.website_id, is_main=True).update(is_main=False)
            Domain.objects.filter(pk=domain.pk).update(is_main=True, redirects=False)
            audit.note(Action.DOMAIN_CHANGE, domain.name, "the main one")
    domain.is_main, domain.redirects = True, False


def remove(domain: Domain) -> None:
    """Take the domain from its website. Raises MainDomain, NoSuchDomain."""
    with transaction.atomic():
        lock(domain.website_id)
        found = Domain.objects.filter(pk=domain.pk).first()
        if found is None:
            raise NoSuchDomain(domain=domain.name)
        if found.is_main:
            raise MainDomain(domain=domain.name, problem="which stays as long as the website. Delete that instead.")
        found.delete()
        audit.note(Action.DOMAIN_REMOVE, domain.name)


def hold(website: Website, name: str, *, is_main: bool = False, redirects: bool = False) -> Domain:
    """Give a website the name, within the caller's transaction.

    Raises IntegrityError where somebody has it, InvalidInput where its account has as many as it may.
    """
    if is_custom(name, _config().domain):
        _check_number(website.account)
    domain = Domain.objects.create(name=name, website=website, is_main=is_main, redirects=redirects)
    config = _config()
    if config.site_certificates == "acme" and not is_custom(name, config.domain):
        Certificate.objects.create(name=name, domain=domain, kind=Kind.ACME.value)
    return domain


def _check_number(account: Account) -> None:
    """Whether the account, which is locked, may have one more custom domain. Raises InvalidInput."""
    config = _config()
    held = Domain.objects.filter(website__account=account).exclude(name__endswith=f".{config.domain}")
    if held.count() >= config.domains_each:
        problem = (
            f"An account may have {config.domains_each} custom domains on this platform, and {account.username} has as "
            "many. Remove one first, or ask the operator for more."
        )
        raise InvalidInput("domain_name", problem)


def release(name: str, website_id: int) -> None:
    """Take the name from the website, within the caller's transaction; one that has it no more is left alone.

    Its certificate goes with it. A website that loses its main name goes on under another of its own, or else
    under the name that its CNAME records point to. Its process runs on: the next one has the new name.
    """
    website = lock(website_id)
    domain = Domain.objects.filter(name=name, website_id=website_id).first()
    if website is None or domain is None:
        return
    domain.delete()
    audit.note(Action.DOMAIN_TAKE, name, f"from the account {website.account.username}")
    if not domain.is_main:
        return
    heir = Domain.objects.filter(website_id=website_id).order_by("redirects", "pk").first()
    if heir is None:
        hold(website, cname(website_id, _config().domain), is_main=True)
    else:
        Domain.objects.filter(pk=heir.pk).update(is_main=True, redirects=False)


def lock_account(account: Account) -> Account | None:
    """The account as it is stored now. Until the transaction ends nobody else gives it names or websites, so what it
    has can be counted."""
    return Account.objects.select_for_update().filter(pk=account.pk).first()


def lock(website_id: int) -> Website | None:
    """The website, whose names nobody else changes until the transaction ends."""
    return Website.objects.select_for_update().filter(pk=website_id).first()
