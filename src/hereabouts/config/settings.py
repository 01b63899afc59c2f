"""The settings in force, and the places that follow from them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any


def _setting(default: object, meaning: str, *, low: float | None = None, high: float | None = None) -> Any:
    return dataclasses.field(default=default, metadata={"meaning": meaning, "low": low, "high": high})


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings in force. Sizes are in the unit that the name ends in, times in seconds."""

    domain: str = _setting("localhost", "the sites domain: websites are {name}.{domain}")
    api_host: str = _setting("", "host of the API and the dashboard; empty: the sites domain")
    listen: tuple[str, ...] = _setting(("127.0.0.1",), "addresses that visitors reach")
    http_port: int = _setting(8080, "port for http", low=1, high=65535)
    https_port: int = _setting(8443, "port for https", low=1, high=65535)

    addresses: tuple[str, ...] = _setting((), "addresses that DNS records lead to; empty: those of the host's name")
    resolvers: tuple[str, ...] = _setting((), "name servers, address or address:port; empty: the system's")

    site_certificates: str = _setting("local", "certificates of the platform's names: local or acme")
    wildcard_certificate: str = _setting("", "PEM file with a certificate for *.{domain} and its chain; empty: none")
    wildcard_key: str = _setting("", "PEM file with the key of wildcard_certificate")
    acme_directory: str = _setting("https://acme-v02.api.letsencrypt.org/directory", "the certificate authority")
    acme_email: str = _setting("", "where the authority may write to; empty: nowhere")
    acme_trust: str = _setting("", "PEM file with what the authority's own HTTPS is trusted by; empty: the usual")
    acme_eab_key_id: str = _setting("", "the key id that an authority gave with its account (EAB); empty: none")
    acme_eab_key_file: str = _setting("", "file with the key that belongs to acme_eab_key_id, as the authority gave it")

    data_dir: Path = _setting(Path("var"), "homes, logs, certificates and the database")
    run_dir: Path = _setting(Path(), "sockets, routes and running sandboxes; empty: /run/hereabouts/…")
    database: str = _setting("", "postgresql://user:password@host/name; empty: SQLite in data_dir")

    nginx: str = _setting("nginx", "the nginx program")
    nginx_user: str = _setting("www-data", "the system user of nginx's workers")
    oci_runtime: str = _setting("runc", "the OCI runtime: runc, crun or runsc")
    uid_first: int = _setting(700_000, "first user id that Hereabouts may use", low=1000, high=4_000_000_000)
    uid_count: int = _setting(10_000, "how many user ids it may use", low=2, high=1_000_000)
    network: str = _setting("", "private IPv4 network of the sandboxes, /24 or larger; empty: one is derived")
    blocked_networks: tuple[str, ...] = _setting(
        ("169.254.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
        "IPv4 networks that sandboxes can't reach (name servers excepted)",
    )

    memory_mb: int = _setting(512, "memory of one website", low=16, high=1_048_576)
    cpu_percent: int = _setting(100, "processor time of one website, 100 is one core", low=5, high=25_600)
    processes: int = _setting(256, "processes and threads of one website", low=8, high=100_000)
    open_files: int = _setting(4096, "open files of one process", low=64, high=1_048_576)
    file_mb: int = _setting(10_240, "largest file that a website may write", low=1, high=1_048_576)
    tmp_mb: int = _setting(128, "private /tmp of one website", low=1, high=1_048_576)

    start_seconds: float = _setting(60, "time a website has to listen on its socket", low=1, high=3600)
    answer_seconds: float = _setting(20, "time the API waits for a website to serve", low=0, high=300)
    hold_seconds: float = _setting(30, "time a visitor is held while a website starts", low=0, high=300)
    drain_seconds: float = _setting(
        30, "time an old process has to finish its requests, WebSockets and streams included", low=0, high=3600
    )
    stop_seconds: float = _setting(10, "time a process has to end after TERM", low=0.1, high=600)
    crash_limit: int = _setting(5, "failures in a row that make a website crashed", low=1, high=1000)
    crash_pause_seconds: float = _setting(300, "pause between tries of a crashed website", low=1, high=86_400)

    reserved_domains: tuple[str, ...] = _setting((), "domains that no account may take, nor names below them")
    domains_each: int = _setting(100, "custom domains an account may have", low=1, high=1_000_000)
    sign_up: bool = _setting(False, "whether visitors may make an account for themselves")
    rate_limit: int = _setting(240, "API calls a minute, an endpoint and account", low=1, high=1_000_000)
    body_mb: int = _setting(1024, "largest request body", low=1, high=1_048_576)
    response_seconds: int = _setting(300, "longest silence of a website while it answers", low=1, high=86_400)
    log_mb: int = _setting(10, "size at which a log is rotated", low=1, high=10_240)

    sources: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    @property
    def host(self) -> str:
        """The host name of the API and the dashboard."""
        return self.api_host or self.domain

    @property
    def sandbox_host(self) -> str:
        """The API's host as sandboxes call it; names under localhost mean a sandbox itself there."""
        return "hereabouts.internal" if self.local else self.host

    @property
    def platform_hosts(self) -> frozenset[str]:
        """Names that no website may take."""
        return frozenset({self.host, self.domain, f"www.{self.domain}", self.sandbox_host})

    @property
    def local(self) -> bool:
        """Whether the platform's names lie under ``localhost``, for which no public authority signs."""
        return self.domain == "localhost" or self.domain.endswith(".localhost")

    @property
    def control_uid(self) -> int:
        """The user and group id of the unprivileged platform processes: the first of the range."""
        return self.uid_first

    @property
    def homes(self) -> Path:
        return self.data_dir / "homes"

    @property
    def logs(self) -> Path:
        return self.data_dir / "logs"

    def platform_log(self, name: str) -> Path:
        """The log of one of the platform's own processes or jobs."""
        return self.logs / "platform" / f"{name}.log"

    @property
    def metrics(self) -> Path:
        """What was counted of websites: a file for each, named by its id."""
        return self.data_dir / "metrics"

    @property
    def certificates(self) -> Path:
        return self.data_dir / "certificates"

    @property
    def secret_file(self) -> Path:
        return self.data_dir / "control" / "secret"

    @property
    def sqlite_file(self) -> Path:
        return self.data_dir / "control" / "hereabouts.sqlite3"

    @property
    def authority_file(self) -> Path:
        return self.certificates / "authority.pem"

    @property
    def ca_bundle(self) -> Path:
        """The usual authorities and the local one, for clients."""
        return self.data_dir / "ca-bundle.pem"

    @property
    def routes(self) -> Path:
        return self.run_dir / "routes"

    @property
    def sockets(self) -> Path:
        """Where servers bind, a directory for each instance. On the disk of the homes, for their owners write
        here, and what they could fill must not be the memory that ``run_dir`` usually is.
        """
        return self.data_dir / "sockets"

    @property
    def published(self) -> Path:
        """Hard links to the sockets of published instances; only the supervisor writes here."""
        return self.sockets / "published"

    @property
    def live(self) -> Path:
        """A short name for ``published``: what connects to a unix socket has 107 characters."""
        return self.run_dir / "live"

    @property
    def instances(self) -> Path:
        return self.run_dir / "instances"

    @property
    def control_socket(self) -> Path:
        return self.run_dir / "control.sock"

    @property
    def supervisor_socket(self) -> Path:
        return self.run_dir / "supervisor" / "supervisor.sock"

    @property
    def certificates_socket(self) -> Path:
        return self.run_dir / "certificates" / "certificates.sock"

    @property
    def challenges(self) -> Path:
        """What nginx answers under ``/.well-known/acme-challenge/``: a file for each token (RFC 8555, 8.3)."""
        return self.run_dir / "certificates" / "challenges"

    @property
    def offered(self) -> Path:
        """Certificates with their keys on the way to nginx: written by control's user, taken by the supervisor."""
        return self.data_dir / "control" / "offered"

    @property
    def certificate_locks(self) -> Path:
        """Files whose locks keep those apart who change what visitors are shown for a name."""
        return self.data_dir / "control" / "locks"

    @property
    def hold_socket(self) -> Path:
        return self.run_dir / "ingress" / "hold.sock"

    @property
    def gate_socket(self) -> Path:
        """Where nginx lets visitors through to a process that is new, a few at a time."""
        return self.run_dir / "ingress" / "gate.sock"

    @property
    def metrics_socket(self) -> Path:
        """Where nginx tells what it counted of websites; its directory is closed to all but root and nginx."""
        return self.run_dir / "ingress" / "metrics.sock"

    @property
    def tag(self) -> str:
        """Four hex digits that tell this platform's network interfaces and cgroups from another's."""
        return hashlib.sha256(str(self.run_dir).encode()).hexdigest()[:4]

    @property
    def subnet(self) -> IPv4Network:
        """The sandboxes' network. Its first host is the machine itself."""
        if self.network:
            return IPv4Network(self.network)
        digest = hashlib.sha256(str(self.run_dir).encode()).digest()
        return IPv4Network((0x0AC00000 | (int.from_bytes(digest[:2], "big") & 0x3FF) << 12, 20))

    def site_url(self, domain: str, *, https: bool = True) -> str:
        """The address of a website as a visitor types it."""
        port, usual = (self.https_port, 443) if https else (self.http_port, 80)
        scheme = "https" if https else "http"
        return f"{scheme}://{domain}" + (f":{port}/" if port != usual else "/")

    @property
    def site(self) -> str:
        """The API's host with its port where needed: what ``PYTHONANYWHERE_SITE`` holds."""
        return self.site_url(self.host).removeprefix("https://").rstrip("/")

    @property
    def sandbox_site(self) -> str:
        """``PYTHONANYWHERE_SITE`` inside sandboxes."""
        return self.site_url(self.sandbox_host).removeprefix("https://").rstrip("/")


FIELDS = tuple(field for field in dataclasses.fields(Config) if field.name != "sources")
