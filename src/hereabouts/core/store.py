"""How the loops read what is wanted and write what they saw."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from hereabouts.core.certificate import Certificate, Lookup
from hereabouts.core.webapp import Observation, Website


class Store(Protocol):
    """The database as the supervisor sees it. Calls block; they come from one thread only."""

    def websites(self) -> Sequence[Website]:
        """Every website of every account, enabled or not."""

    def website(self, website_id: int) -> Website | None:
        """One website, or None once it is deleted."""

    def observations(self) -> Mapping[int, Observation]:
        """What was last recorded, by website id: read once, when a supervisor takes over."""

    def record(self, website_id: int, observation: Observation) -> None:
        """Keep what was seen. A website that was deleted meanwhile is passed over."""

    def certificates(self) -> Sequence[Certificate]:
        """Every certificate that is wanted, from an authority or uploaded."""


class CertificateStore(Protocol):
    """The database as the certificates' loop sees it. Calls block; they come from one thread only."""

    def version(self) -> object:
        """What is another one once something of all this may have changed; None where nothing can tell."""

    def certificates(self) -> Sequence[Certificate]:
        """Every certificate that is wanted, of every account."""

    def certificate(self, name: str) -> Certificate | None:
        """One of them, or None where none is wanted."""

    def record_certificate(self, certificate: Certificate) -> bool:
        """Keep how it stands. False for one that is not wanted any more, or is of another kind now."""

    def want_certificate(self, name: str) -> None:
        """Want one from the authority for a name of the platform itself. One that is wanted already is left."""

    def order_anew(self) -> None:
        """Make every certificate from an authority due now, those in pause after a failure, too."""

    def settle_own_names(self, hosts: Collection[str], *, websites: bool) -> Collection[str]:
        """Want none any more for names without a website that are none of ``hosts``; returns those.

        With ``websites`` one from the authority is wanted for each website's name under the sites domain.
        """

    def custom_domains(self) -> Mapping[str, int]:
        """Every custom domain, with the id of its website."""

    def custom_domain(self, name: str) -> int | None:
        """The id of a custom domain's website; None for another name."""

    def record_lookup(self, lookup: Lookup) -> None:
        """Keep what the DNS said. A domain that was deleted meanwhile is passed over."""
