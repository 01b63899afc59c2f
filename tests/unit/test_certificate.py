"""What an owner is told of a certificate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hereabouts.core.certificate import Certificate, Details, Kind, ends_soon, file_name

DAY = 86_400.0


def held(days: float) -> Details:
    return Details("CA", "a.test", ("a.test",), 0.0, days * DAY, "f" * 64)


@pytest.mark.parametrize(
    ("kind", "days", "day", "problem", "warning"),
    [
        (Kind.ACME, 90, 60, "The DNS failed.", None),
        (Kind.ACME, 90, 67, None, None),
        (Kind.ACME, 90, 70, "The DNS failed.", "ends in 20 days and could not be renewed yet: The DNS failed."),
        (Kind.ACME, 90, 70, None, "ends in 20 days and could not be renewed yet."),
        (Kind.ACME, 6, 5.5, "Too many.", "ends in 12 hours and could not be renewed yet: Too many."),
        (Kind.ACME, 6, 5.99, "Too many.", "ends in 1 hour and could not be renewed yet: Too many."),
        (Kind.ACME, 90, 91, "Too many.", "has ended and could not be renewed yet: Too many."),
        (Kind.UPLOADED, 365, 340, None, None),
        (Kind.UPLOADED, 365, 355, None, "ends in 10 days. Upload a new one."),
        (Kind.UPLOADED, 365, 365, None, "has ended. Upload a new one."),
    ],
)
def test_a_certificate_that_ends_soon(
    kind: Kind, days: float, day: float, problem: str | None, warning: str | None
) -> None:
    found = Certificate("a.test", kind, held(days), problem=problem).warning(day * DAY)
    assert found == (warning and f"The certificate of a.test {warning}")


def test_an_authority_that_wants_a_late_renewal_is_no_reason_to_warn() -> None:
    late = Certificate("a.test", Kind.ACME, held(90), renew_at=81 * DAY)

    assert late.warning(80 * DAY) is None
    assert "ends in 8 days" in (late.warning(82 * DAY) or "")
    assert "ends in 10 days" in (replace(late, failures=1, problem="No.").warning(80 * DAY) or "")


@pytest.mark.parametrize(("days", "soon"), [(365, 15), (90, 15), (6, 1.5)])
def test_what_a_person_renews_ends_soon_by_its_own_life(days: float, soon: float) -> None:
    assert ends_soon(held(days)) == soon * DAY


def test_one_that_never_came() -> None:
    assert Certificate("a.test", Kind.ACME).warning(0.0) is None
    found = Certificate("a.test", Kind.ACME, problem="The authority says no.").warning(0.0)
    assert found == "There is no certificate for a.test yet: The authority says no."


def test_a_long_name_has_a_short_file() -> None:
    assert file_name("a.test") == "a.test.pem"
    assert len(file_name("a" * 253)) == 36
