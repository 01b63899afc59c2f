"""``hereabouts up``: the start as a person sees it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hereabouts.cli import support
from hereabouts.config import PREFIX

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from hereabouts.config import Config
    from hereabouts.daemons.first_run import Result

_SHOWN = 72


def up(
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Replace an `up` that runs, as for an upgrade; websites go on.")
    ] = False,
) -> None:
    """Prepare this machine and run the platform in the foreground; Ctrl-C stops it all."""
    settings = support.settings()
    from hereabouts.daemons import up as daemon

    out = support.console()

    def ready(result: Result) -> None:
        with suppress(OSError):
            _announce(out, settings, result)

    daemon.run(settings, Terminal(out), ready, take_over=take_over)


class Terminal:
    """Shows the steps of the start: turning while they last, ticked when done; plain lines when piped.

    What can't be shown, to a terminal that was closed or a file on a full disk, stops nothing.
    """

    def __init__(self, out: Console) -> None:
        self._out = out

    @contextmanager
    def step(self, text: str) -> Iterator[Callable[[str], None]]:
        """A step; the function given shows what it is doing now."""
        if not self._out.is_terminal:
            self._show(f"{text} …")
            yield lambda now: None
            return
        status = self._out.status(text)
        with suppress(OSError):
            status.start()
        try:
            yield lambda now: status.update(support.marked(f"{text}\n", "", f"  {now}"[:_SHOWN], "dim"))
        finally:
            with suppress(OSError):
                status.stop()
        self._show(support.marked("✓", "green", f" {text}"))

    def warn(self, text: str) -> None:
        """Something to know that does not stop the platform."""
        told = support.marked("!", "yellow", f" {text}")
        self._show(told if self._out.is_terminal else told.plain)

    def _show(self, text: str | Text) -> None:
        with suppress(OSError):
            if self._out.is_terminal:
                self._out.print(text)
            else:
                print(text, flush=True)


def _announce(out: Console, config: Config, result: Result) -> None:
    """Print the panel and, alone on a line, where the platform is."""
    rows = [("Dashboard and API", config.site_url(config.host))]
    rows.append(("API reference", config.site_url(config.host) + "api/docs/"))
    if result.password:
        rows.append(("Operator (shown once)", f"user operator, password {result.password}"))
    if result.demo:
        rows.insert(0, ("Demo website", config.site_url(result.demo)))
    lines = [f"{label:<22} {value}" for label, value in rows]
    if result.demo:
        lines += [
            "", "For the official client, in another terminal:", f'eval "$({_command(config)} env demo)"',
            "", "Visit the demo:", visit(config, result.demo),
        ]  # fmt: skip
    if out.is_terminal:
        from rich.rule import Rule
        from rich.text import Text

        # No frame at the sides and no breaks: the lines to be copied stay as they are.
        for part in (Rule("Hereabouts", style="green"), Text("\n".join(lines)), Rule(style="green")):
            out.print(part, soft_wrap=True)
    else:
        print("\n".join(["", *lines, ""]))
    print(f"Ready: {config.site_url(config.host).rstrip('/')}", flush=True)


def visit(config: Config, domain: str) -> str:
    """A command line that visits the website, whether or not its name resolves."""
    trust = f"--cacert {shlex.quote(str(config.authority_file))} " if config.local else ""
    return f"curl {trust}{config.site_url(domain)}"


def _command(config: Config) -> str:
    """This command as another terminal must call it: with the settings that came from the environment."""
    words = [f"{PREFIX}{name.upper()}={shlex.quote(_value(config, name))}"
             for name, source in config.sources.items() if source == "environment"]  # fmt: skip
    program = Path(sys.prefix) / "bin" / "hereabouts"
    sudo = ["sudo"] if os.environ.get("SUDO_USER") else []
    return " ".join([*sudo, *words, shlex.quote(str(program))])


def _value(config: Config, name: str) -> str:
    value = getattr(config, name)
    return " ".join(value) if isinstance(value, tuple) else str(value)
