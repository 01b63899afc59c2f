"""What is stored: accounts, their websites, and what was last seen of each."""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models

from hereabouts.core import webapp
from hereabouts.errors import NoSuchWebsite


class Account(AbstractBaseUser):
    """Somebody who has websites. ``token_hash`` is the SHA-256 of the API token, which itself is not kept."""

    username = models.CharField(max_length=30, unique=True)
    uid = models.PositiveBigIntegerField(unique=True)
    is_operator = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    token_hash = models.CharField(max_length=64, unique=True, null=True)
    token_created_at = models.DateTimeField(null=True)
    token_epoch = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "username"

    def value(self) -> webapp.Account:
        """The account as the core knows it."""
        return webapp.Account(self.username, self.uid, self.token_epoch)


class Website(models.Model):
    """What is wanted of one website."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="websites")
    command = models.TextField()
    enabled = models.BooleanField(default=True)
    generation = models.PositiveBigIntegerField(default=1)
    stop_first = models.BooleanField(default=False)
    health_path = models.CharField(max_length=1000, default="", blank=True)
    health_status = models.PositiveSmallIntegerField(default=200)
    health_seconds = models.FloatField(default=30.0)
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
        )


class Domain(models.Model):
    """A name that leads to a website. Names are stored in lower case, as A-labels."""

    name = models.CharField(max_length=253, unique=True)
    website = models.ForeignKey(Website, on_delete=models.CASCADE, related_name="domains")
    is_main = models.BooleanField(default=True)


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
