"""What the settings must be, beyond the range of a single number."""

from __future__ import annotations

import re
from functools import partial
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from urllib.parse import urlsplit

from hereabouts.config.settings import Config
from hereabouts.errors import SettingError

_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,200}}\Z){_LABEL}(?:\.{_LABEL})*\Z")


def parse_resolver(text: str) -> tuple[str, int] | None:
    """The address and port of a name server: ``9.9.9.9``, ``127.0.0.1:8053``, ``[::1]:53``; None for another text."""
    host, _, port = text.rpartition(":") if text.count(":") == 1 or "]:" in text else (text, "", "53")
    try:
        return str(ip_address(host.strip("[]"))), int(port)
    except ValueError:
        return None


def _is_missing(file: Path) -> bool:
    try:
        return not file.is_file()
    except PermissionError:  # root reads it, and this process is not root
        return False
    except OSError:  # a name that no file can have
        return True


def check(config: Config) -> None:
    """Raise SettingError for the first setting that will not do."""
    for rule in (_names, _certificates, _network, _paths, _database):
        rule(config)


def _refuse(config: Config, name: str, problem: str, remedy: str) -> SettingError:
    return SettingError(name=name, source=config.sources.get(name, "default"), problem=problem, remedy=remedy)


def _names(config: Config) -> None:
    refuse = partial(_refuse, config)
    if not _HOST.match(config.domain):
        raise refuse("domain", f"{config.domain!r} is not a domain name.", "Give one such as sites.example.org.")
    if not _HOST.match(config.host):
        raise refuse("api_host", f"{config.host!r} is not a host name.", "Give one such as www.example.org.")
    if "api" in config.host:
        raise refuse(
            "api_host",
            f"{config.host!r} contains 'api', on which the official client splits addresses.",
            "Give another host name, such as www." + config.domain + ".",
        )
    for name in config.reserved_domains:
        if not _HOST.match(name):
            raise refuse("reserved_domains", f"{name!r} is not a domain name.", "Give such as example.org.")


def _certificates(config: Config) -> None:
    refuse = partial(_refuse, config)
    if config.site_certificates not in ("local", "acme"):
        raise refuse("site_certificates", f"{config.site_certificates!r} is neither.", "Give local or acme.")
    if config.site_certificates == "acme" and config.local:
        problem = f"no authority signs for names under {config.domain}."
        raise refuse("site_certificates", problem, "Give local, or set `domain` to a public name.")
    if bool(config.wildcard_certificate) != bool(config.wildcard_key):
        raise refuse("wildcard_key", "certificate and key belong together.", "Set both, or neither.")
    if bool(config.acme_eab_key_id) != bool(config.acme_eab_key_file):
        raise refuse("acme_eab_key_file", "key id and key belong together.", "Set acme_eab_key_id, too, or neither.")
    for name in ("wildcard_certificate", "wildcard_key", "acme_trust", "acme_eab_key_file"):
        file = getattr(config, name)
        if file and _is_missing(Path(file)):
            raise refuse(name, f"there is no file {file}.", "Name an existing file by its whole path.")
    if not config.acme_directory.startswith("https://"):
        raise refuse("acme_directory", f"{config.acme_directory!r} is not an https address.", "Give the directory's.")


def _network(config: Config) -> None:
    refuse = partial(_refuse, config)
    for address in config.addresses:
        try:
            ip_address(address)
        except ValueError:
            raise refuse("addresses", f"{address!r} is not an IP address.", "Give the public ones.") from None
    for server in config.resolvers:
        if parse_resolver(server) is None:
            raise refuse("resolvers", f"{server!r} is not an address.", "Give such as 9.9.9.9 or 127.0.0.1:8053.")
    if config.http_port == config.https_port:
        raise refuse("https_port", f"{config.https_port} is also http_port.", "Give two different ports.")
    for address in config.listen:
        try:
            ip_address(address.strip("[]"))
        except ValueError:
            raise refuse("listen", f"{address!r} is not an IP address.", 'Give a list such as ["0.0.0.0"].') from None
    for name, networks in (
        ("network", [config.network] if config.network else []),
        ("blocked_networks", config.blocked_networks),
    ):
        for network in networks:
            try:
                IPv4Network(network)
            except ValueError as error:
                raise refuse(name, f"{error}.", "Give an IPv4 network such as 10.213.0.0/20.") from None
    if config.subnet.prefixlen > 24:
        raise refuse("network", f"{config.network} is too small.", "Give a /24 or larger.")


def _paths(config: Config) -> None:
    refuse = partial(_refuse, config)
    longest = len(str(config.live / "9999999-9999999-ffffffff.sock"))
    if longest > 107:
        raise refuse(
            "run_dir",
            f"{config.run_dir} is too long by {longest - 107} characters for a unix socket's path (107).",
            "Give a shorter path, such as /run/hereabouts/main.",
        )


def _database(config: Config) -> None:
    refuse = partial(_refuse, config)
    if config.database:
        remedy = "Give postgresql://user:password@host/name, or leave it empty for SQLite."
        if not config.database.startswith(("postgresql://", "postgres://")):
            kind = config.database.split(":")[0]
            raise refuse("database", f"{kind!r} is not a database that Hereabouts knows.", remedy)
        try:
            parts = urlsplit(config.database)
            complete = parts.port != 0 and len(parts.path) > 1
        except ValueError:
            complete = False
        if not complete:
            raise refuse("database", "this is not a whole address (the value is not shown).", remedy)
