"""The authority signs for the platform's own names, too, where it is told to."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest

from tests.certified import Stage, staged
from tests.integration.certificates.test_renewal import Watch
from tests.platform import wait_for

NAMES = ("hosting.test", "www.hosting.test", "demo.hosting.test")
_FORMER = """\
import django
django.setup()
from hereabouts.control.models import Certificate
Certificate.objects.filter(name="demo.hosting.test").delete()
Certificate.objects.create(name="former.test", kind="letsencrypt-auto-renew")
"""


@pytest.fixture(scope="module")
def hosting() -> Iterator[Stage]:
    with staged(settings={"DOMAIN": "hosting.test", "SITE_CERTIFICATES": "acme"}) as made:
        for name in NAMES:  # the authority began after the platform: whoever came too early need not pause
            wait_for(lambda name=name: name in made.rows(name), 60, f"a wish for {name}")  # type: ignore[misc]
            made.change(name, next_try_at=0)
        yield made


def restart(stage: Stage) -> None:
    """Another certificates process."""
    os.kill(stage.platform.pids()["certificates"], signal.SIGKILL)


def test_the_host_and_websites_get_certificates_of_the_authority_by_themselves(hosting: Stage) -> None:
    for name in NAMES:
        wait_for(lambda name=name: hosting.certified(name), 60, f"the certificate for {name}")  # type: ignore[misc]
        hosting.trusted(name)

    assert not hosting.certified("localhost")
    assert set(hosting.rows(*NAMES, "localhost")) == set(NAMES)


def test_a_new_process_sees_to_websites_that_have_none_and_forgets_the_platforms_former_names(hosting: Stage) -> None:
    hosting.run(_FORMER)

    restart(hosting)

    wait_for(lambda: hosting.rows(*NAMES, "former.test").keys() == set(NAMES), 60, "the rows")
    wait_for(lambda: hosting.row("demo.hosting.test")["fingerprint"], 60, "the certificate for a website")


def test_another_authority_issues_everything_anew_and_the_old_ones_are_shown_meanwhile(hosting: Stage) -> None:
    wait_for(lambda: all(row["fingerprint"] for row in hosting.rows(*NAMES).values()), 60, "the certificates")
    before = {name: hosting.fingerprint(name) for name in NAMES}
    account = hosting.platform.config.secret_file.parent / "acme" / "account.json"
    held = json.loads(account.read_text())
    account.write_text(json.dumps({**held, "directory": "https://staging.example.org/directory"}))
    watch = Watch(hosting, "hosting.test")

    restart(hosting)

    wait_for(lambda: all(hosting.fingerprint(name) != before[name] for name in NAMES), 60, "other certificates")
    watch.end()
    assert not watch.bad
    assert json.loads(account.read_text())["directory"] == hosting.door.url
    assert all(row["fingerprint"] for row in hosting.rows(*NAMES).values())
