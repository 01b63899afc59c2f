"""The exceptions of Hereabouts: a small tree whose docstrings are the messages.

A docstring may hold ``{names}``; the keyword arguments of the exception fill them in, so that every
message says what happened, why, and what to do next.
"""

from __future__ import annotations

from string import Formatter


class HereaboutsError(Exception):
    """Something went wrong in Hereabouts."""

    def __init__(self, **details: object) -> None:
        self.details = details
        super().__init__(self._message())

    def _message(self) -> str:
        template = " ".join((type(self).__doc__ or "").split())
        names = {name for _, name, _, _ in Formatter().parse(template) if name}
        return template.format(**{name: self.details.get(name, "?") for name in names})


class SettingError(HereaboutsError):
    """Setting {name} (from {source}): {problem} {remedy}"""


class MachineError(HereaboutsError):
    """{problem} {remedy}"""


class InvalidInput(HereaboutsError):
    """{problem}"""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        self.problem = problem
        super().__init__(problem=problem)


class DomainTaken(HereaboutsError):
    """The domain {domain} belongs to a website already. Choose another name."""


class CertificateRefused(HereaboutsError):
    """The certificate for {name} is refused: {problem}"""


class NoSuchDomain(HereaboutsError):
    """No website of this account has the domain {domain}. Add it to one first."""


class MainDomain(HereaboutsError):
    """{domain} is the website's main name, {problem}"""


class NoCertificate(HereaboutsError):
    """There is no certificate for {domain}. {problem}"""


class OrderFailed(HereaboutsError):
    """{problem}"""

    def __init__(self, kind: str, problem: str, retry_at: float | None = None) -> None:
        """``kind`` says whose fault it is: dns, authority, limit, unreachable, platform or waiting.

        ``retry_at`` is when to try again, in seconds since the epoch; None: whenever it is mended.
        """
        self.kind = kind
        self.problem = problem
        self.retry_at = retry_at
        super().__init__(problem=problem)


class AccountExists(HereaboutsError):
    """An account named {name} exists already. Choose another name, or see `hereabouts user list`."""


class NoSuchAccount(HereaboutsError):
    """There is no account named {name}. `hereabouts user list` shows the accounts."""


class AccountSuspended(HereaboutsError):
    """The account {name} is suspended. Only the operator of this platform can end that."""


class WrongPassword(HereaboutsError):
    """That name and password do not belong together. Both are case sensitive, except the name."""


class WrongCode(HereaboutsError):
    """That code is not right, or was used already. Wait for the next one that your app shows, and type that."""


class TooManyTries(HereaboutsError):
    """Too many tries went wrong. Try again in {wait}."""


class NotAllowed(HereaboutsError):
    """{problem}"""


class NoSuchWebsite(HereaboutsError):
    """There is no website {domain}. `hereabouts status` shows the websites."""


class NoFreeUid(HereaboutsError):
    """All {count} user ids of the configured range are taken. Raise `uid_count` in hereabouts.toml."""


class WebsiteDisabled(HereaboutsError):
    """The website {domain} is disabled, so there is nothing to reload. Enable it: that starts its latest code."""


class SandboxError(HereaboutsError):
    """The sandbox could not be {doing}: {problem}"""


class HomeMissing(HereaboutsError):
    """The home directory {home} is missing, so nothing of its account can start. The operator has to mount or restore
    it, or to make an empty one: install -d -o {uid} -g {uid} -m 700 {home}"""


class SupervisorAway(HereaboutsError):
    """The supervisor is not answering, so {what} can't be told now. Websites keep running; try again in a moment."""


class PlatformNotRunning(HereaboutsError):
    """The platform is not running here ({path} does not answer). Start it with `make up`."""
