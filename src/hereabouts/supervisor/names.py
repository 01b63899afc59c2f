"""The names of one website: every one leads to it, or redirects to its main one, and has a certificate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from hereabouts.config import Config
from hereabouts.core.lifecycle import Lead
from hereabouts.core.webapp import Website
from hereabouts.supervisor import routes


class Certificates(Protocol):
    """The certificates that nginx shows. Calls block; they come from any thread."""

    def prepare(self, name: str) -> None:
        """See to it that there is one for a name."""

    def forget(self, name: str) -> None:
        """Remove those of a name that nobody has any more."""


def of(website: Website) -> tuple[str, ...]:
    """All names of a website, its main one first."""
    return (website.domain, *(alias.name for alias in website.aliases))


class Names:
    """Leads them where the website's visitors are to go. All but ``prepare`` run in the event loop."""

    def __init__(
        self, config: Config, certificates: Certificates, owner: Callable[[str], int | None], website: Website
    ) -> None:
        """``owner`` tells the id of the website that has a name now."""
        self._config, self._certificates, self._owner = config, certificates, owner
        self._website = website
        self._target: Lead | str = Lead.NOWHERE
        self._added: set[str] = set()
        self._lost: set[str] = set()

    def lead(self, target: Lead | str) -> None:
        """Lead visitors there; a name that another website has taken since is that one's to lead."""
        former, self._target = self._target, target
        try:
            self._lead()
        except OSError:  # on a full disk, perhaps after the first name: they must all lead to the same
            self._target = former
            self._lead()
            raise

    def _lead(self) -> None:
        for name in filter(self._ours, of(self._website)):
            routes.lead(self._config, self._website, name, self._target)

    def lead_again(self) -> None:
        """The same as before, where something else may have been written since."""
        if self._target is not Lead.NOWHERE:
            self.lead(self._target)

    def follow(self, website: Website) -> None:
        """Take note of the names that are wanted now, and of what is wanted of them."""
        before, after = set(of(self._website)), set(of(website))
        self._website = website
        self._added = (self._added | after - before) & after
        self._lost = (self._lost | before - after) - after
        for name in filter(self._ours, self._lost):
            routes.forget(self._config, name)
        self.lead_again()

    @property
    def unsettled(self) -> bool:
        """Whether names came or went since ``settle``."""
        return bool(self._added or self._lost)

    async def settle(self) -> None:
        """See to the certificates of the names that came and went."""
        added, lost = self._added, {name for name in self._lost if self._ours(name)}
        self._added, self._lost = set(), set()
        for name in added:
            await asyncio.to_thread(self._certificates.prepare, name)
        for name in lost:
            await asyncio.to_thread(self._certificates.forget, name)

    def prepare(self) -> None:
        """See to every name's certificate before visitors are led there. Blocks; safe from any thread."""
        for name in of(self._website):
            self._certificates.prepare(name)

    def _ours(self, name: str) -> bool:
        return self._owner(name) in (None, self._website.id)
