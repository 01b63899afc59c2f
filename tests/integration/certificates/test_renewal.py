"""Certificates are renewed without anybody, in time, and visitors see the old one meanwhile."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import hashes

from hereabouts.certificates.acme import renewal_number
from tests.certified import Stage, staged
from tests.platform import wait_for

LIFE = 40


@pytest.fixture(scope="module")
def brief() -> Iterator[Stage]:
    """An authority whose certificates end soon."""
    with staged(validity=LIFE) as made:
        yield made


class Watch(threading.Thread):
    """A visitor who connects again and again; every certificate that he sees must be good at that moment."""

    def __init__(self, stage: Stage, name: str) -> None:
        super().__init__(daemon=True)
        self.stage, self.name_, self.seen, self.bad = stage, name, set[str](), list[str]()
        self._stop_ = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._stop_.wait(0.1):
            found, now = self.stage.shown(self.name_), datetime.now(UTC)
            if found is None:
                self.bad.append(f"{now} refused")
            elif "Pebble" not in found.issuer.rfc4514_string() or now >= found.not_valid_after_utc:
                self.bad.append(f"{now} {found.not_valid_after_utc} {found.issuer}")
            else:
                self.seen.add(self.stage.fingerprint(self.name_))

    def end(self) -> None:
        self._stop_.set()
        self.join()


def test_short_lived_certificates_are_renewed_again_and_again_before_they_end(brief: Stage) -> None:
    name = brief.fresh()
    brief.want(name)
    assert brief.issue(name) == {"status": "done"}
    watch = Watch(brief, name)

    wait_for(lambda: len(watch.seen) >= 3, 4 * LIFE, "two renewals")

    watch.end()
    assert not watch.bad


def test_the_old_one_is_shown_while_the_authority_is_away_and_the_process_dies(brief: Stage) -> None:
    name = brief.fresh()
    brief.want(name)
    assert brief.issue(name) == {"status": "done"}
    watch = Watch(brief, name)
    brief.pebble.stop()
    assert brief.row(name)["failures"] == 0
    due = time.time()

    def failed_twice() -> bool:
        brief.change(name, renew_at=due)  # again, for what was just being written may have come later
        return bool(brief.row(name)["failures"] >= 2)

    wait_for(failed_twice, LIFE, "failures")
    assert "out of order" in brief.row(name)["problem"]
    os.kill(brief.platform.pids()["certificates"], signal.SIGKILL)

    brief.pebble.start()

    wait_for(lambda: len(watch.seen) >= 2, LIFE, "a renewal")
    watch.end()
    assert not watch.bad
    wait_for(lambda: brief.row(name)["problem"] is None, 5, "the record")


def test_an_operator_hears_of_a_renewal_that_fails_until_late(brief: Stage) -> None:
    name = brief.fresh()
    brief.want(name)
    assert brief.issue(name) == {"status": "done"}
    problem = {"type": "urn:ietf:params:acme:error:serverInternal", "detail": "out of luck", "status": 500}
    brief.door.rule = lambda request: (500, {}, problem) if request.path == "/order-plz" else None

    wait_for(
        lambda: f"ERROR hereabouts.certificates The certificate for {name} ends on" in brief.log(),
        2 * LIFE,
        "a line in the log",
    )

    brief.open()
    wait_for(lambda: brief.row(name)["problem"] is None, LIFE, "a renewal")


def test_the_authority_may_ask_for_an_early_renewal(stage: Stage) -> None:
    name = stage.fresh()
    early: list[str] = []

    def window(number: str) -> tuple[str, str]:
        """At once for the first certificate of this name, in two months for all others."""
        if asked and number == asked[0]:
            early.append(number)
            return "2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"
        later = datetime.fromtimestamp(time.time() + 60 * 86_400, UTC)
        return later.strftime("%Y-%m-%dT00:00:00Z"), later.strftime("%Y-%m-%dT23:59:59Z")

    asked: list[str] = []
    stage.want(name)
    assert stage.issue(name) == {"status": "done"}
    first = stage.shown(name)
    assert first is not None
    asked.append(str(renewal_number(first)))
    stage.door.window = window
    os.kill(stage.platform.pids()["certificates"], signal.SIGKILL)  # a new one reads the directory anew
    stage.change(name, asked_at=0, not_before=time.time() - 86_400)

    wait_for(lambda: stage.fingerprint(name) != first.fingerprint(hashes.SHA256()).hex(), 40, "another certificate")

    assert set(early) == set(asked)
    assert any(b"replaces" in _payload(body) for body in stage.door.bodies)
    wait_for(lambda: stage.row(name)["renew_at"] > time.time() + 58 * 86_400, 20, "the later window")


def test_a_certificate_that_visitors_do_not_see_any_more_is_ordered_anew(stage: Stage) -> None:
    name = stage.fresh()
    stage.want(name)
    stage.issue(name)
    (stage.platform.config.certificates / "own" / f"{name}.pem").unlink()
    assert not stage.certified(name)

    stage.change(name, asked_at=0)

    wait_for(lambda: stage.certified(name), 30, "the certificate")
    wait_for(lambda: stage.row(name)["fingerprint"] == stage.fingerprint(name), 5, "the record")


def test_one_who_asks_for_it_then_gets_it_at_once(stage: Stage) -> None:
    name = stage.fresh()
    stage.want(name)
    stage.issue(name)
    (stage.platform.config.certificates / "own" / f"{name}.pem").unlink()

    assert stage.issue(name) == {"status": "done"}

    assert stage.certified(name)


def _payload(body: bytes) -> bytes:
    """What a signed request says."""
    text = json.loads(body or b"{}").get("payload", "")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
