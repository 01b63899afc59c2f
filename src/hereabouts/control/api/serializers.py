"""What goes in and out: shapes only. What a name or a command may be is decided in the core."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.utils.html import is_html_input

from hereabouts.control.models import Certificate, Domain, Website
from hereabouts.control.states import state
from hereabouts.core.certificate import Kind
from hereabouts.core.domains import cname, is_custom
from hereabouts.core.pem import MAX_CERT, MAX_KEY
from hereabouts.core.webapp import MAX_HSTS_SECONDS, Status, log_name


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
    force_https = Flag(required=False, help_text="Send visitors who come over HTTP to HTTPS.")
    hsts_seconds = Whole(
        required=False, min_value=0, max_value=MAX_HSTS_SECONDS,
        help_text="How long browsers are to come over HTTPS only (Strict-Transport-Security); 0: they are not told.",
    )  # fmt: skip


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
    redirect = serializers.BooleanField(
        required=False, help_text="All but the main name: whether it redirects to that, or serves the website itself."
    )
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
    force_https = serializers.BooleanField()
    hsts_seconds = serializers.IntegerField()


class DomainInput(serializers.Serializer[Any]):
    """Another name for a website, as it is asked for."""

    domain_name = Text(max_length=1000, help_text="Such as www.example.org.")
    redirect = Flag(default=False, help_text="Send its visitors to the website's main name.")


class DomainChange(serializers.Serializer[Any]):
    """What may be changed of a name."""

    redirect = Flag(required=False, help_text="Send its visitors to the website's main name.")
    main = Flag(required=False, help_text="true: make it the website's main name. The former one then serves it, too.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Raise ValidationError for a main name that redirects to itself."""
        if attrs.get("main") and attrs.get("redirect"):
            problem = "The main name is where others redirect to. Leave one of the two out."
            raise serializers.ValidationError(problem)
        return attrs

    def validate_main(self, value: bool) -> bool:
        """Raise ValidationError for false: a website always has a main name."""
        if not value:
            raise serializers.ValidationError("A website always has a main name. Make another one the main one.")
        return value


class CertificateInput(serializers.Serializer[Any]):
    """Which certificate to use: ``cert_type`` for the authority's, or one's own with its key. Nothing is echoed."""

    cert_type = Text(required=False, max_length=100, help_text="letsencrypt-auto-renew")
    cert = Text(required=False, max_length=MAX_CERT, help_text="The certificate and its chain, in PEM.")
    private_key = Text(required=False, max_length=MAX_KEY, help_text="The certificate's key in PEM, not encrypted.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Raise ValidationError unless it is one of the two."""
        kind, own = attrs.get("cert_type"), {"cert", "private_key"} & set(attrs)
        if not own and kind != Kind.UPLOADED.value:
            if kind != Kind.ACME.value:
                problem = f"Give {Kind.ACME.value}, or a certificate of your own as cert and private_key."
                raise serializers.ValidationError({"cert_type": [problem]})
            return attrs
        if kind not in (None, Kind.UPLOADED.value):
            raise serializers.ValidationError({"cert_type": ["Leave it out with a certificate of your own."]})
        missing = sorted({"cert", "private_key"} - own)
        if missing:
            raise serializers.ValidationError({name: ["This field is required."] for name in missing})
        return attrs


class RenewalOutput(serializers.Serializer[Any]):
    """How the renewal stands."""

    next = serializers.DateTimeField(
        allow_null=True, help_text="When it is due, or tried again; null while an order is under way."
    )
    problem = serializers.CharField(allow_null=True, help_text="Why the last try failed.")


class CertificateOutput(serializers.Serializer[Any]):
    """The certificate in use."""

    cert_type = serializers.ChoiceField(choices=[kind.value for kind in Kind])
    issuer_name = serializers.CharField()
    subject_name = serializers.CharField(allow_blank=True)
    subject_alternate_names = serializers.ListField(child=serializers.CharField())
    not_after = serializers.CharField(help_text="Such as 20270102T030405Z.")
    renewal = RenewalOutput(allow_null=True)


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


class PieceInput(serializers.Serializer[Any]):
    """Which part of a log, in bytes."""

    offset = serializers.IntegerField(
        required=False, min_value=-(1 << 53), max_value=1 << 53,
        help_text="Where to begin: the `next` of an earlier answer. Negative: so many from the end, from the beginning "
        "of a line on. Left out: the last `limit`.",
    )  # fmt: skip
    limit = serializers.IntegerField(default=65_536, min_value=1024, max_value=262_144, help_text="How many at most.")


class PieceOutput(serializers.Serializer[Any]):
    """A part of a log."""

    text = serializers.CharField(allow_blank=True)
    offset = serializers.IntegerField(help_text="The byte where the text begins.")
    next = serializers.IntegerField(help_text="The byte where the next part begins.")
    size = serializers.IntegerField(help_text="How many bytes the log has now.")
    rotated = serializers.BooleanField(help_text="It was begun anew and is shorter than the offset asked for.")


class StepOutput(serializers.Serializer[Any]):
    """One step of a start."""

    name = serializers.CharField()
    at = serializers.DateTimeField()
    seconds = serializers.FloatField(help_text="How long it took, or takes by now.")
    status = serializers.ChoiceField(choices=["running", "done", "failed"])


class StepsOutput(serializers.Serializer[Any]):
    """The latest start of a website, step by step."""

    steps = StepOutput(many=True)
    problem = serializers.CharField(allow_null=True, help_text="Why the last step failed.")


class LookupOutput(serializers.Serializer[Any]):
    """What the DNS says of a domain."""

    domain_name = serializers.CharField()
    detail = serializers.CharField(allow_null=True, help_text="What is wrong, and what to do; null: it leads here.")
    checked_at = serializers.DateTimeField(allow_null=True)


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
            "domains": [domain_object(website, domain) for domain in website.domains.all()],
            "stop_first": website.stop_first,
            "health_path": website.health_path,
            "health_status": website.health_status,
            "health_seconds": website.health_seconds,
            "force_https": website.force_https,
            "hsts_seconds": website.hsts_seconds,
        },
        "state": _state_object(website, attended=attended),
    }


def domain_object(website: Website, domain: Domain) -> dict[str, Any]:
    """A name of the website as the API tells of it. The main one looks as it did before there were others."""
    sites_domain = settings.CONFIG.domain
    found: dict[str, Any] = {"domain_name": domain.name, "enabled": website.enabled}
    if not domain.is_main:
        found["redirect"] = domain.redirects
    if is_custom(domain.name, sites_domain):
        found["cname"] = cname(website.pk, sites_domain)
    return found


def _state_object(website: Website, *, attended: bool) -> dict[str, Any]:
    found = state(website, attended=attended)
    return {"status": found.status.value, "since": moment(found.since), "detail": found.detail}


def piece_object(found: Mapping[str, Any]) -> dict[str, Any]:
    """A part of a log, from what the supervisor said."""
    return {name: found[name] for name in ("text", "offset", "next", "size", "rotated")}


def steps_object(found: Mapping[str, Any]) -> dict[str, Any]:
    """The steps of a start, from what the supervisor said."""
    steps = [{**step, "at": moment(step["at"]), "seconds": round(step["seconds"], 3)} for step in found["steps"]]
    return {"steps": steps, "problem": found["problem"]}


def lookup_object(domain: Domain) -> dict[str, Any]:
    """What the DNS said of a domain. One of the platform's own leads here."""
    custom = is_custom(domain.name, settings.CONFIG.domain)
    checked = domain.dns_checked_at if custom else None
    return {
        "domain_name": domain.name,
        "detail": domain.dns_detail if custom else None,
        "checked_at": None if checked is None else moment(checked),
    }


def certificate_object(row: Certificate) -> dict[str, Any]:
    """The certificate in use as the API tells of it; ``renewal`` is there for those that are renewed by themselves."""
    due = row.next_try_at if row.problem else row.renew_at or row.next_try_at
    renewal = {"next": moment(due) if due else None, "problem": row.problem}
    return {
        "cert_type": row.kind,
        "issuer_name": row.issuer,
        "subject_name": row.subject,
        "subject_alternate_names": row.names,
        "not_after": moment(row.not_after, "%Y%m%dT%H%M%SZ"),
        "renewal": renewal if row.kind == Kind.ACME.value else None,
    }


def moment(seconds: float, form: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(form)
