"""Every page of the dashboard in every state: one table for the tests that look at each, and for the pictures.

A state is reached in the same way each time it is asked for, whatever was looked at before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pyotp
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import DESKTOP, FIREFOX, PASSWORD, PHONE, Visitor, visitor
from tests.browser.furnished import BROKEN, OTHERS, RESTING, SHOP, STARTING, broken, crowd, unattended
from tests.certified import Stage
from tests.integration.dashboard.conftest import Person

Act = Callable[[Page, Stage], None]
LOOKS = {
    f"{window}-{scheme}": (scheme, size)
    for window, size in (("desktop", DESKTOP), ("phone", PHONE))
    for scheme in ("light", "dark")
}
"""In which each is looked at: name to (colour scheme, size of the window)."""
_MAIN = "main form[method=post]"
_WRONG, _ASKS = "[role=alert]:not(:empty), [aria-invalid=true]", "form:has([name=confirmed]) button"


@dataclass(frozen=True)
class State:
    """``who`` opens ``path`` (nobody: not signed in) and then acts; now something is there that ``shows``."""

    name: str
    path: str
    who: str = "alice"
    act: Act | None = None
    shows: str = "h1"


def _sent(form: str = _MAIN, button: str = "button[type=submit]", **fields: str) -> Act:
    """Fill in a form, and send it with a button of it."""

    def act(page: Page, stage: Stage) -> None:
        found = page.locator(form).first
        for name, value in fields.items():
            found.locator(f"[name={name}]").fill(value)
        with page.expect_response(lambda answer: answer.request.method == "POST"):
            found.locator(button).first.click()
        page.wait_for_load_state()

    return act


def _changed(script: str) -> Act:
    """Change the page as no button of it can, such as sending what a browser would not."""

    def act(page: Page, stage: Stage) -> None:
        with page.expect_response(lambda answer: answer.request.method == "POST"):
            page.evaluate(script)
        page.wait_for_load_state()

    return act


def _then(*acts: Act) -> Act:
    """One after the other."""

    def act(page: Page, stage: Stage) -> None:
        for each in acts:
            each(page, stage)

    return act


def _pressed(button: str) -> Act:
    return lambda page, stage: page.locator(button).first.click()


def _opened(details: str) -> Act:
    """Unfold what is folded together."""
    return lambda page, stage: page.evaluate(
        "found => document.querySelectorAll(found).forEach((each) => { each.open = true; })", details
    )


def _typed(**fields: str) -> Act:
    """Type into fields that ask while they are typed in."""

    def act(page: Page, stage: Stage) -> None:
        for name, value in fields.items():
            with page.expect_response(re.compile("/websites/")):
                page.locator(f"[name={name}]").fill(value)

    return act


def _new_token(page: Page, stage: Stage) -> None:
    _sent()(page, stage)
    if page.locator(_ASKS).count():
        _sent()(page, stage)


def _second_factor(page: Page, stage: Stage) -> None:
    """Turn it on, or make new recovery codes where it is."""
    key = page.locator("#key")
    if key.count():
        code = pyotp.TOTP(key.inner_text().replace(" ", "")).now()
        _sent(button="[value=on]", code=code, password=PASSWORD)(page, stage)
    else:
        _sent("form:has([value=codes])", password=PASSWORD)(page, stage)


def _second_factor_on(page: Page, stage: Stage) -> None:
    if page.locator("#key").count():
        _second_factor(page, stage)
        page.reload()


def _another_session(page: Page, stage: Stage) -> None:
    other = Person(stage.platform)
    other.session.headers["User-Agent"] = FIREFOX
    other.sign_in("alice")
    page.reload()


def _fault(page: Page, stage: Stage) -> None:
    with broken(stage):
        page.goto(f"{stage.platform.api}/operator/audit/")


def _unattended(page: Page, stage: Stage) -> None:
    with unattended(stage):
        page.reload()


def _crowded(page: Page, stage: Stage) -> None:
    crowd(stage)
    page.reload()


_SITE = f"/websites/{SHOP}"
_SAM = "/operator/accounts/sam/"
STATES = (
    State("sign-in", "/sign-in/", "nobody"),
    State("sign-in-wrong", "/sign-in/", "nobody", _sent(username="nobody", password="wrong"), _WRONG),
    State(
        "sign-in-code", "/sign-in/", "nobody", _sent(username="theo", password=PASSWORD), "[autocomplete=one-time-code]"
    ),
    State("sign-up", "/sign-up/", "nobody"),
    State("sign-up-wrong", "/sign-up/", "nobody", _sent(username="www", password=PASSWORD, again=PASSWORD), _WRONG),
    State("unreadable", f"/sign-in/?{'a&' * 300}", "nobody"),
    State("not-found", "/nothing/"),
    State(
        "refused", "/account/password/", "alice",
        _changed("document.querySelectorAll('[name=csrfmiddlewaretoken]').forEach((each) => { each.value = 'x'; });"
                 f"document.querySelector('{_MAIN}').submit()"),
    ),
    State("fault", "/operator/", "olivia", _fault),
    State("websites", "/websites/"),
    State("websites-opened", "/websites/", "alice", _opened("details")),
    State("websites-none-found", "/websites/?q=nothing-like-it"),
    State("websites-empty", "/websites/", "nina"),
    State("new-website", "/websites/new/", "nina"),
    State("new-website-django", "/websites/new/?framework=django", shows="#recipe-file-1"),
    State("new-website-own", "/websites/new/?framework=own"),
    State("new-website-opened", "/websites/new/?framework=node", "alice", _opened("details")),
    State("new-website-free", "/websites/new/", "alice", _typed(domain_name="free-alice.localhost"), "#name-said"),
    State("new-website-taken", "/websites/new/", "alice", _typed(domain_name="demo.localhost"), "#name-said.error"),
    State("new-website-wrong", "/websites/new/", "alice", _sent("#new", domain_name="x y", command="true"), _WRONG),
    State(
        "new-website-proof", "/websites/new/", "alice", _sent("#new", domain_name=OTHERS, command="true"),
        "#proof-record",
    ),
    State("website", f"{_SITE}/?period=day", shows=".chart"),
    State("website-hour", f"{_SITE}/", shows=".chart"),
    State("website-week", f"{_SITE}/?period=week", shows=".chart"),
    State("website-month", f"{_SITE}/?period=month", shows=".chart"),
    State("website-opened", f"{_SITE}/", "alice", _opened("#progress details, #traffic figure:first-child details"),
          "#traffic table"),
    State("website-others", f"{_SITE}/", "olivia"),
    State("website-crashed", f"/websites/{BROKEN}/", shows="#progress [role=status]"),
    State("website-starting", f"/websites/{STARTING}/", shows="#progress .state.starting"),
    State("website-disabled", f"/websites/{RESTING}/", shows="form:has([name=enabled][value=yes]) button"),
    State("command", f"{_SITE}/command/"),
    State(
        "command-preview", f"{_SITE}/command/", "alice",
        _sent("#settings", "[name=preview]", health_path="/health", command="true"), "ins",
    ),
    State("command-wrong", f"{_SITE}/command/", "alice", _sent("#settings", health_path="health"), _WRONG),
    State("domains", f"{_SITE}/domains/", shows="[id^=dns-]"),
    State("domains-astray", f"/websites/{RESTING}/domains/", shows="[id^=dns-]"),
    State("domains-opened", f"{_SITE}/domains/", "alice", _opened("details"), "[name=private_key]"),
    State("domains-wrong", f"{_SITE}/domains/", "alice", _sent("form:has([value=add])", domain_name="x y"), _WRONG),
    State(
        "domains-proof", f"{_SITE}/domains/", "alice", _sent("form:has([value=add])", domain_name=OTHERS),
        "#proof-record",
    ),
    State(
        "domains-upload-wrong", f"{_SITE}/domains/", "alice",
        _then(_opened('details'), _sent("form:has([value=upload])", cert="x", private_key="x")), _WRONG,
    ),
    State("logs", f"{_SITE}/logs/", shows="#log div"),
    State("logs-access", f"{_SITE}/logs/?kind=access", shows="#log div"),
    State("logs-server", f"{_SITE}/logs/?kind=server", shows="#nothing"),
    State("logs-none-found", f"{_SITE}/logs/?q=nothing-like-it", shows="#nothing"),
    State("logs-paused", f"{_SITE}/logs/", "alice", _pressed("#pause"), "[aria-pressed=true]"),
    State("logs-unattended", f"{_SITE}/logs/", "alice", _unattended, ".notice.warn"),
    State("delete", f"{_SITE}/delete/", shows="#delete"),
    State(
        "delete-wrong", f"{_SITE}/delete/", "alice",
        _changed(f"document.querySelector('{_MAIN}').submit()"), _WRONG,
    ),
    State("token-none", "/account/token/", "nina"),
    State("token-new", "/account/token/", "tessa", _new_token, "#exports"),
    State("token", "/account/token/"),
    State("token-revoke", "/account/token/", "alice", _sent(), _ASKS),
    State("password", "/account/password/"),
    State(
        "password-wrong", "/account/password/", "alice",
        _sent(password=PASSWORD, new="password123", again="password123"), _WRONG,
    ),
    State("sessions", "/account/sessions/", "alice", _another_session, "[value=others]"),
    State("two-factor", "/account/two-factor/", shows="#key"),
    State("two-factor-wrong", "/account/two-factor/", "alice", _sent(code="12345", password=PASSWORD), _WRONG),
    State("two-factor-codes", "/account/two-factor/", "tessa", _second_factor, "#recovery"),
    State("two-factor-on", "/account/two-factor/", "tessa", _second_factor_on, "[value=off]"),
    State("operator", "/operator/", "olivia"),
    State("operator-unattended", "/operator/", "olivia", _unattended, ".notice.bad"),
    State("operator-accounts", "/operator/accounts/", "olivia", shows="tbody"),
    State("operator-accounts-none-found", "/operator/accounts/?q=nothing-like-it", "olivia"),
    State("operator-accounts-wrong", "/operator/accounts/", "olivia", _sent(username="root"), _WRONG),
    State("operator-account", "/operator/accounts/alice/", "olivia", shows="[value=suspend]"),
    State("operator-account-suspended", _SAM, "olivia", shows="[value=resume]"),
    State("operator-account-own", "/operator/accounts/olivia/", "olivia"),
    State(
        "operator-confirm", "/operator/accounts/alice/", "olivia", _sent(button="[value=suspend]"), _ASKS
    ),
    State(
        "operator-password", _SAM, "olivia",
        _then(_sent(button="[value=reset]"), _sent()), "#password",
    ),
    State("operator-websites", "/operator/websites/", "olivia", shows="tbody"),
    State("operator-websites-none-found", "/operator/websites/?q=nothing-like-it", "olivia"),
    State("operator-certificates", "/operator/certificates/", "olivia", shows="tbody"),
    State("operator-certificates-unattended", "/operator/certificates/", "olivia", _unattended, ".notice.warn"),
    State("operator-audit", "/operator/audit/", "olivia", shows="tbody"),
    State("operator-audit-none-found", "/operator/audit/?actor=nobody", "olivia"),
    State("websites-second-page", "/websites/?page=2", "maya", _crowded, "[rel=prev]"),
    State("operator-websites-second-page", "/operator/websites/?page=2", "olivia", _crowded, "[rel=prev]"),
)  # fmt: skip


@dataclass
class Gallery:
    """The furnished platform, and a window for everybody who looks at it."""

    stage: Stage
    browser: Browser
    stack: ExitStack
    windows: dict[str, Visitor] = field(default_factory=dict)

    def show(self, state: State) -> Visitor:
        """The state, in the window of who sees it."""
        window = self._window(state.who)
        window.look(*LOOKS["desktop-light"])
        window.page.goto(self.stage.platform.api + state.path)
        if state.act:
            state.act(window.page, self.stage)
        expect(window.page.locator(state.shows).first).to_be_visible()
        return window

    def _window(self, who: str) -> Visitor:
        if who not in self.windows:
            self.windows[who] = self.stack.enter_context(visitor(self.browser, self.stage.platform))
            if who != "nobody":
                self.windows[who].sign_in(who)
        if who == "nobody":
            self.windows[who].context.clear_cookies()
        return self.windows[who]


@contextmanager
def gallery(stage: Stage, browser: Browser) -> Iterator[Gallery]:
    """All of it, while the platform and the browser are there."""
    with ExitStack() as stack:
        yield Gallery(stage, browser, stack)
