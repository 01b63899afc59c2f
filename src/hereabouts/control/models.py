"""What is stored: accounts, their websites, and what was last seen of each."""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models

from hereabouts.core import certificate, webapp
from hereabouts.errors import NoSuchWebsite


class Account(AbstractBaseUser):
    """Somebody who has websites. ``token_hash`` is the SHA-256 of the API token, which itself is not kept.

    One that is not active is suspended: nobody gets in as it, and its websites are disabled.
    """

    username = models.CharField(max_length=30, unique=True)
    uid = models.PositiveBigIntegerField(unique=True)
    is_operator = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    token_hash = models.CharField(max_length=64, unique=True, null=True)
    token_created_at = models.DateTimeField(null=True)
    token_epoch = models.PositiveIntegerField(default=0)
    token_used_at = models.DateTimeField(null=True)
    token_used_from = models.CharField(max_length=45, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "username"

    def value(self) -> webapp.Account:
        """The account as the core knows it."""
        return webapp.Account(self.username, self.uid, self.token_epoch)


class Website(models.Model):
    """What is wanted of one website. One that ``resumes`` is enabled again when its account is suspended no more."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="websites")
    command = models.TextField()
    enabled = models.BooleanField(default=True)
    resumes = models.BooleanField(default=False)
    generation = models.PositiveBigIntegerField(default=1)
    stop_first = models.BooleanField(default=False)
    health_path = models.CharField(max_length=1000, default="", blank=True)
    health_status = models.PositiveSmallIntegerField(default=200)
    health_seconds = models.FloatField(default=30.0)
    force_https = models.BooleanField(default=False)
    hsts_seconds = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    @property
    def domain_name(self) -> str:
        """The name that the website is known by. Raises NoSuchWebsite for one that was deleted meanwhile."""
        for domain in self.domains.all():
            if domain.is_main:
                return domain.name
        raise NoSuchWebsite(domain=f"number {self.pk}")

    def value(self) -> webapp.Website:
        """The website as the core knows it."""
        return webapp.Website(
            id=self.pk,
            domain=self.domain_name,
            account=self.account.value(),
            command=self.command,
            enabled=self.enabled,
            generation=self.generation,
            stop_first=self.stop_first,
            health=webapp.parse_health(self.health_path, self.health_status, self.health_seconds),
            aliases=tuple(webapp.Alias(d.name, d.redirects) for d in self.domains.all() if not d.is_main),
            force_https=self.force_https,
            hsts_seconds=self.hsts_seconds,
        )


class Domain(models.Model):
    """A name that leads to a website. Names are stored in lower case, as A-labels.

    One that ``redirects`` sends visitors to the website's main name. ``dns_detail`` is what was wrong when its
    DNS was last looked up (``dns_checked_at``, seconds since the epoch), None when it led here.
    """

    name = models.CharField(max_length=253, unique=True)
    website = models.ForeignKey(Website, on_delete=models.CASCADE, related_name="domains")
    is_main = models.BooleanField(default=True)
    redirects = models.BooleanField(default=False)
    dns_detail = models.TextField(null=True)
    dns_checked_at = models.FloatField(null=True)


class Certificate(models.Model):
    """A certificate that is wanted for a name: of a website, which has it for as long as the name, or the platform's.

    Times are in seconds since the epoch. The certificates' loop writes all but ``kind``, and for uploaded ones
    ``control.certificates`` does. The private key is not here.
    """

    name = models.CharField(max_length=253, unique=True)
    domain = models.OneToOneField(Domain, on_delete=models.CASCADE, null=True, related_name="certificate")
    kind = models.CharField(max_length=30)
    issuer = models.TextField(default="")
    subject = models.TextField(default="")
    names = models.JSONField(default=list)
    not_before = models.FloatField(default=0.0)
    not_after = models.FloatField(default=0.0)
    fingerprint = models.CharField(max_length=64, default="")
    renew_at = models.FloatField(default=0.0)
    asked_at = models.FloatField(default=0.0)
    failures = models.PositiveIntegerField(default=0)
    next_try_at = models.FloatField(default=0.0)
    problem = models.TextField(null=True)

    def value(self) -> certificate.Certificate:
        """The certificate as the core knows it."""
        found = certificate.Details(
            self.issuer, self.subject, tuple(self.names), self.not_before, self.not_after, self.fingerprint
        )
        return certificate.Certificate(
            name=self.name,
            kind=certificate.Kind(self.kind),
            details=found if self.fingerprint else None,
            renew_at=self.renew_at,
            asked_at=self.asked_at,
            failures=self.failures,
            next_try_at=self.next_try_at,
            problem=self.problem,
        )


class Observation(models.Model):
    """What the supervisor last saw; only its store writes here."""

    website = models.OneToOneField(Website, on_delete=models.CASCADE, primary_key=True, related_name="observation")
    status = models.CharField(max_length=20)
    since = models.FloatField()
    detail = models.TextField(null=True)
    serving = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)

    def value(self) -> webapp.Observation:
        """The observation as the core knows it."""
        return webapp.Observation(webapp.Status(self.status), self.since, self.detail, self.serving, self.failed)


class Session(AbstractBaseSession):
    """A browser in which somebody signed in. Times are in seconds since the epoch."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, null=True, related_name="sessions")
    address = models.CharField(max_length=45, default="")
    agent = models.CharField(max_length=300, default="")
    signed_in_at = models.FloatField(default=0.0)
    seen_at = models.FloatField(default=0.0)


class SecondFactor(models.Model):
    """An account's authenticator. Its secret is derived from ``salt`` (control/second_factor.py) and stored nowhere.

    It is on from ``since`` on; until a first code was right there is no such moment. ``used_step`` is the last time
    step (RFC 6238) whose code was used: none is good twice.
    """

    account = models.OneToOneField(Account, on_delete=models.CASCADE, primary_key=True, related_name="second_factor")
    salt = models.CharField(max_length=64)
    since = models.DateTimeField(null=True)
    used_step = models.PositiveBigIntegerField(default=0)


class RecoveryCode(models.Model):
    """A code that stands in for the authenticator's, once: its row goes with its use. Kept as SHA-256."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="recovery_codes")
    code_hash = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "code_hash"], name="recovery_code")]


class Tries(models.Model):
    """How often something was tried without success (control/tries.py); ``last_at`` in seconds since the epoch."""

    key = models.CharField(max_length=100, unique=True)
    count = models.PositiveIntegerField(default=0)
    last_at = models.FloatField(db_index=True)


class Action(models.TextChoices):
    """What the audit log tells of, and its words for people."""

    ACCOUNT_CREATE = "account.create", "created the account"
    ACCOUNT_REMOVE = "account.remove", "removed the account"
    ACCOUNT_SUSPEND = "account.suspend", "suspended the account"
    ACCOUNT_RESUME = "account.resume", "ended the suspension of the account"
    PASSWORD_CHANGE = "password.change", "changed the password of"
    PASSWORD_RESET = "password.reset", "reset the password of"
    TOKEN_CREATE = "token.create", "created an API token for"
    TOKEN_REVOKE = "token.revoke", "revoked the API token of"
    SECOND_FACTOR_ON = "second-factor.on", "turned on the second factor of"
    SECOND_FACTOR_OFF = "second-factor.off", "turned off the second factor of"
    RECOVERY_CODES = "second-factor.codes", "made new recovery codes for"
    RECOVERY_CODE_USED = "second-factor.recovery", "used a recovery code of"
    SIGN_IN = "session.sign-in", "signed in as"
    SIGN_IN_FAILED = "session.sign-in-failed", "failed to sign in as"
    SIGN_OUT = "session.sign-out", "signed out from"
    SESSION_END = "session.end", "ended a session of"
    SESSIONS_END = "session.end-all", "ended the sessions of"
    WEBSITE_CREATE = "website.create", "created the website"
    WEBSITE_CHANGE = "website.change", "changed the website"
    WEBSITE_ENABLE = "website.enable", "enabled the website"
    WEBSITE_DISABLE = "website.disable", "disabled the website"
    WEBSITE_RELOAD = "website.reload", "reloaded the website"
    WEBSITE_DELETE = "website.delete", "deleted the website"
    DOMAIN_ADD = "domain.add", "added the domain"
    DOMAIN_CHANGE = "domain.change", "changed the domain"
    DOMAIN_REMOVE = "domain.remove", "removed the domain"
    DOMAIN_TAKE = "domain.take", "took over the domain"
    CERTIFICATE_ORDER = "certificate.order", "ordered a certificate for"
    CERTIFICATE_UPLOAD = "certificate.upload", "uploaded a certificate for"
    CERTIFICATE_REMOVE = "certificate.remove", "removed the certificate of"


class Way(models.TextChoices):
    """By which way something was done."""

    DASHBOARD = "dashboard", "dashboard"
    API = "api", "API"
    CLI = "cli", "command line"
    PLATFORM = "platform", "the platform itself"


class AuditEntry(models.Model):
    """Who did what to what, when, from where. Only control/audit.py writes here.

    ``actor`` is an account's name, a user of the machine on the command line, empty for somebody unknown.
    """

    at = models.DateTimeField(db_index=True)
    actor = models.CharField(max_length=60)
    action = models.CharField(max_length=30, choices=Action.choices)
    target = models.CharField(max_length=260)
    detail = models.CharField(max_length=200, default="")
    address = models.CharField(max_length=45, default="")
    way = models.CharField(max_length=10, choices=Way.choices)

    class Meta:
        indexes = [
            models.Index(fields=["actor", "-id"], name="audit_actor"),
            models.Index(fields=["target", "-id"], name="audit_target"),
        ]
