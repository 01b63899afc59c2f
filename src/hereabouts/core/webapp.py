"""Value types: what is wanted of a website, and what is seen of it. Parsing is validation."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from enum import StrEnum

from hereabouts.errors import InvalidInput

_ACCOUNT_NAME = re.compile(r"[a-z][a-z0-9]{0,29}\Z")
_SOCKET_VARIABLE = re.compile(r"\\?\$(?:\{DOMAIN_SOCKET\}|DOMAIN_SOCKET(?![A-Za-z0-9_]))")
_TOKEN = re.compile(r"[0-9a-f]{40}\Z")
_MAX_COMMAND = 8192
_MAX_LOG_NAME = 200
_MAX_SOCKET_PATH = 107
"""Bytes of a unix socket's path, without its closing zero: unix(7)."""

MAX_HSTS_SECONDS = 63_072_000
"""Two years: what the browsers' preload list asks for at the most (https://hstspreload.org)."""

RESERVED_ACCOUNTS = frozenset(
    {"api", "admin", "www", "webapp", "root", "nobody", "hereabouts", "localhost", "static", "mail", "platform"}
)
"""``platform`` because the platform's own logs have that name beside those of the accounts."""


class Status(StrEnum):
    """How a website is, in the words of the API."""

    STARTING = "starting"
    RUNNING = "running"
    SLEEPING = "sleeping"
    RESTARTING = "restarting"
    CRASHED = "crashed"
    STOPPED = "stopped"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Account:
    """An account as the sandbox needs it: a name, the uid its processes run as, the count of its tokens."""

    name: str
    uid: int
    token_epoch: int = 0


@dataclass(frozen=True, slots=True)
class Health:
    """A request that must be answered with ``status`` within ``seconds`` before visitors are led to a new process."""

    path: str
    status: int = 200
    seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Alias:
    """Another name of a website: it serves, or redirects to the main one."""

    name: str
    redirects: bool = False


@dataclass(frozen=True, slots=True)
class Website:
    """What is wanted of one website. ``generation`` grows with every change that needs a new process.

    With ``stop_first`` the old process ends before the new one starts, for sites that can't run twice. With
    ``force_https`` visitors who come over HTTP are sent to HTTPS; ``hsts_seconds`` tells browsers to come that way
    (RFC 6797; 0: they are not told).
    """

    id: int
    domain: str
    account: Account
    command: str
    enabled: bool
    generation: int
    stop_first: bool = False
    health: Health | None = None
    aliases: tuple[Alias, ...] = ()
    force_https: bool = False
    hsts_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """What is seen of one website. ``since`` is in seconds since the epoch.

    ``serving`` is the generation that visitors reach (0 for none), ``failed`` the latest generation that
    did not come up (0 for none).
    """

    status: Status
    since: float
    detail: str | None
    serving: int
    failed: int


def parse_account_name(text: str) -> str:
    """The account's name in lower case: a letter, then letters and digits, at most 30.

    A dash is refused because ``{anything}-{username}`` is a name that the account may take for a website.
    """
    name = text.strip().lower()
    if not _ACCOUNT_NAME.match(name):
        raise InvalidInput("username", "A user name is a letter followed by letters and digits, 30 characters at most.")
    if name in RESERVED_ACCOUNTS:
        raise InvalidInput("username", f"The name {name} is reserved for the platform. Choose another one.")
    return name


def parse_command(text: str) -> str:
    """The command, trimmed, with the line ends of shells; refused when it is empty, too long, or could not be passed
    to a process."""
    command = text.replace("\r\n", "\n").strip()
    if not command:
        raise InvalidInput("command", "This field may not be blank.")
    if "\0" in command:
        raise InvalidInput("command", "Null characters are not allowed.")
    if len(command.encode("utf-8", "surrogatepass")) > _MAX_COMMAND:
        raise InvalidInput("command", f"Ensure the command has no more than {_MAX_COMMAND} bytes.")
    try:
        command.encode()
    except UnicodeEncodeError:
        raise InvalidInput("command", "The command holds characters that are not valid Unicode.") from None
    return command


def parse_health(path: str, status: int, seconds: float) -> Health | None:
    """The health check; None for an empty path. Raises InvalidInput naming the field."""
    if not path:
        return None
    if not path.startswith("/") or not path.isascii() or any(mark <= " " or mark == "\x7f" for mark in path):
        raise InvalidInput(
            "health_path", "Give a path such as /health, without spaces; other characters encoded as %XX."
        )
    if len(path) > 1000:
        raise InvalidInput("health_path", "Ensure this path has no more than 1000 characters.")
    if not 100 <= status <= 599:
        raise InvalidInput("health_status", "Give an HTTP status from 100 to 599.")
    if not 1 <= seconds <= 600:
        raise InvalidInput("health_seconds", "Give a number of seconds from 1 to 600.")
    return Health(path, status, seconds)


def check_hsts(seconds: int) -> None:
    """Refuse a time for Strict-Transport-Security that is not from 0 (none) to two years. Raises InvalidInput."""
    if not 0 <= seconds <= MAX_HSTS_SECONDS:
        raise InvalidInput("hsts_seconds", f"Give a number of seconds from 0 to {MAX_HSTS_SECONDS}.")


def socket_path(website: Website) -> str:
    """Where the website's server listens, inside its sandbox.

    ``/var/sockets/{domain}/app.sock``; for a domain that would exceed what a unix socket's path may hold,
    the webapp's own short name stands in for the domain.
    """
    path = f"/var/sockets/{website.domain}/app.sock"
    if len(path) > _MAX_SOCKET_PATH:
        path = f"/var/sockets/webapp-{website.id}/app.sock"
    return path


def log_name(domain: str, website_id: int) -> str:
    """What the names of a website's logs begin with: its domain, or a short name where a file's could not hold it."""
    return domain if len(domain) <= _MAX_LOG_NAME else f"webapp-{website_id}"


def expand_command(website: Website) -> str:
    """The command with ``$DOMAIN_SOCKET`` and ``${DOMAIN_SOCKET}`` replaced anywhere in a word, quoted or not.

    The path holds only letters, digits, dots, dashes and slashes, so it means itself under any quoting.
    """
    path = socket_path(website)
    return _SOCKET_VARIABLE.sub(lambda _: path, website.command)


def sandbox_token(secret: bytes, account: Account) -> str:
    """The API token that an account's own sandboxes carry: 40 hex digits, derived, stored nowhere.

    It begins with the account's uid, by which the account is found. It ends with the account's token: creating
    or revoking one moves ``token_epoch`` on.
    """
    message = f"sandbox-token:{account.name}:{account.token_epoch}".encode()
    return f"{account.uid:08x}{hmac.new(secret, message, hashlib.sha256).hexdigest()[:32]}"


def sandbox_token_uid(token: str) -> int | None:
    """Whose sandboxes this token would belong to, if it is genuine; None for what is not 40 hex digits."""
    return int(token[:8], 16) if _TOKEN.match(token) else None
