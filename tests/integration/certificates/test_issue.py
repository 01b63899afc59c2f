"""From a wish to the certificate that visitors see."""

from __future__ import annotations

from tests.integration.certificates.conftest import Stage


def test_a_certificate_is_issued_and_shown(stage: Stage) -> None:
    name = stage.fresh()
    stage.want(name)

    assert stage.issue(name) == {"status": "done"}

    stage.trusted(name)
    row = stage.row(name)
    assert row["fingerprint"] == stage.fingerprint(name)
    assert row["names"] == [name]
    assert row["problem"] is None
