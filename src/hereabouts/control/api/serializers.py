"""What goes in and out: shapes only. What a name or a command may be is decided in the core."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.utils.html import is_html_input

from hereabouts.control.models import Website
from hereabouts.core.domains import cname, is_custom
from hereabouts.core.webapp import Status, log_name

UNATTENDED = "The supervisor is not answering; the change will be carried out once it runs."


class Text(serializers.CharField):
    """A text. A number is none, which DRF's own field would make one of; an empty one is empty in a form, too."""

    def get_value(self, dictionary: Any) -> Any:
        """What was sent; ``empty`` where nothing was."""
        if is_html_input(dictionary) and self.field_name in dictionary:
            return dictionary[self.field_name]
        return super().get_value(dictionary)

    def to_internal_value(self, data: object) -> str:
        """The text, trimmed. Raises ValidationError."""
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Flag(serializers.BooleanField):
    """true or false in JSON, the usual words in a form, where a missing one is as unknown as in JSON."""

    default_empty_html = empty

    def to_internal_value(self, data: Any) -> bool:
        """The truth. Raises ValidationError."""
        if not isinstance(data, bool) and not is_html_input(getattr(self.root, "initial_data", None)):
            self.fail("invalid", input=data)
        return bool(super().to_internal_value(data))


class Number(serializers.FloatField):
    """A number: in JSON a number, in a form its digits."""

    def to_internal_value(self, data: Any) -> float:
        """The number. Raises ValidationError."""
        as_text = isinstance(data, str) and is_html_input(getattr(self.root, "initial_data", None))
        if isinstance(data, bool) or not (isinstance(data, int | float) or as_text):
            self.fail("invalid")
        return float(super().to_internal_value(data))


class Whole(serializers.IntegerField):
    """A whole number: in JSON a number, in a form its digits."""

    def to_internal_value(self, data: Any) -> int:
        """The number. Raises ValidationError."""
        as_text = isinstance(data, str) and is_html_input(getattr(self.root, "initial_data", None))
        if isinstance(data, bool) or not (isinstance(data, int) or as_text):
            self.fail("invalid")
        return int(super().to_internal_value(data))


class WebappSettings(serializers.Serializer[Any]):
    """What can be set of a website's process beside its command."""

    stop_first = Flag(
        required=False, help_text="On a reload, end the old process before the new one starts; visitors wait."
    )
    health_path = Text(
        required=False, allow_blank=True, max_length=1000, help_text="Asked before visitors are led to a new process."
    )
    health_status = Whole(
        required=False, min_value=100, max_value=599, help_text="The status that it must answer with; 200."
    )
    health_seconds = Number(
        required=False, min_value=1, max_value=600, help_text="How long it may take until it does; 30."
    )


class WebappInput(WebappSettings):
    """The process of a website, as it is asked for."""

    command = Text(max_length=8192, help_text="Listens on the unix socket $DOMAIN_SOCKET.")


class WebappChange(WebappSettings):
    """What may be changed of a website's process."""

    command = Text(max_length=8192, required=False, help_text="Listens on the unix socket $DOMAIN_SOCKET.")


class WebsiteInput(serializers.Serializer[Any]):
    """A website, as it is asked for. Further keys are passed over."""

    domain_name = Text(max_length=1000, help_text="Such as alice.example.org, or a custom domain.")
    enabled = Flag(default=True)
    webapp = WebappInput()


class WebsiteChange(serializers.Serializer[Any]):
    """What may be changed of a website."""

    enabled = Flag(required=False)
    webapp = WebappChange(required=False)


class DomainOutput(serializers.Serializer[Any]):
    """A name that leads to a website."""

    domain_name = serializers.CharField()
    enabled = serializers.BooleanField()
    cname = serializers.CharField(required=False, help_text="Custom domains only: where its CNAME must point.")


class WebappOutput(serializers.Serializer[Any]):
    """The process of a website."""

    id = serializers.IntegerField()
    command = serializers.CharField()
    domains = DomainOutput(many=True)
    stop_first = serializers.BooleanField()
    health_path = serializers.CharField(allow_blank=True)
    health_status = serializers.IntegerField()
    health_seconds = serializers.FloatField()


class LogfilesOutput(serializers.Serializer[Any]):
    """Where the website's logs are, in the account's sandboxes."""

    access = serializers.CharField()
    error = serializers.CharField()
    server = serializers.CharField()


class StateOutput(serializers.Serializer[Any]):
    """How the website is, and why when it is not well."""

    status = serializers.ChoiceField(choices=[status.value for status in Status])
    since = serializers.DateTimeField()
    detail = serializers.CharField(allow_null=True)


class WebsiteOutput(serializers.Serializer[Any]):
    """A website."""

    id = serializers.IntegerField()
    domain_name = serializers.CharField()
    enabled = serializers.BooleanField()
    user = serializers.CharField()
    logfiles = LogfilesOutput()
    webapp = WebappOutput()
    state = StateOutput()


class DetailOutput(serializers.Serializer[Any]):
    """Why a request was refused."""

    detail = serializers.CharField()


class StatusOutput(serializers.Serializer[Any]):
    """Done."""

    status = serializers.ChoiceField(choices=["OK"])


class ReloadFailure(serializers.Serializer[Any]):
    """The new process does not serve; the old one stays."""

    status = serializers.ChoiceField(choices=["ERROR"])
    error_type = serializers.ChoiceField(choices=["reload_failed", "reload_pending"])
    error_message = serializers.CharField()


def website_object(website: Website, *, attended: bool = True) -> dict[str, Any]:
    """The website as the API tells of it; ``attended`` is False when the supervisor did not answer."""
    name = website.domain_name
    log = log_name(name, website.pk)
    return {
        "id": website.pk,
        "domain_name": name,
        "enabled": website.enabled,
        "user": website.account.username,
        "logfiles": {kind: f"/var/log/{log}.{kind}.log" for kind in ("access", "error", "server")},
        "webapp": {
            "id": website.pk,
            "command": website.command,
            "domains": [_domain_object(website, domain.name) for domain in website.domains.all()],
            "stop_first": website.stop_first,
            "health_path": website.health_path,
            "health_status": website.health_status,
            "health_seconds": website.health_seconds,
        },
        "state": _state_object(website, attended=attended),
    }


def _domain_object(website: Website, name: str) -> dict[str, Any]:
    sites_domain = settings.CONFIG.domain
    custom = {"cname": cname(website.pk, sites_domain)} if is_custom(name, sites_domain) else {}
    return {"domain_name": name, "enabled": website.enabled, **custom}


def _state_object(website: Website, *, attended: bool) -> dict[str, Any]:
    seen = getattr(website, "observation", None)
    if seen is None:
        status = Status.STARTING if website.enabled else Status.DISABLED
        since, detail = website.created_at.timestamp(), None
    else:
        status, since, detail = Status(seen.status), seen.since, seen.detail
        if website.enabled and status is Status.DISABLED:
            status, detail = Status.STARTING, None
        elif not website.enabled:
            status, detail = Status.DISABLED, None
    if not attended:
        detail = UNATTENDED
    moment = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"status": status.value, "since": moment, "detail": detail}
