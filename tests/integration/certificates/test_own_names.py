"""The authority signs for the platform's own names, too, where it is told to."""

from __future__ import annotations

from tests.certified import staged
from tests.platform import wait_for


def test_the_host_and_websites_get_certificates_of_the_authority_by_themselves() -> None:
    with staged(settings={"DOMAIN": "hosting.test", "SITE_CERTIFICATES": "acme"}) as stage:
        for name in ("hosting.test", "www.hosting.test", "demo.hosting.test"):
            wait_for(lambda name=name: stage.certified(name), 60, f"the certificate for {name}")  # type: ignore[misc]
            stage.trusted(name)

        assert not stage.certified("localhost")
        assert set(stage.rows("hosting.test", "www.hosting.test", "localhost")) == {"hosting.test", "www.hosting.test"}
