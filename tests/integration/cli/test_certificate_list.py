"""``hereabouts certificates``, and what doctor says of them, on a real database without a running platform."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from hereabouts.certificates import local
from hereabouts.config import load
from tests.authority import DAY, Authority

from .conftest import Run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOW = time.time()


@pytest.fixture
def data(hereabouts: Run, tmp_path: Path) -> Path:
    """The data directory of a platform."""
    done = hereabouts("user", "add", "alice", "--password-stdin", stdin="correct horse battery staple\n")
    assert done.returncode == 0, done.stderr
    return tmp_path / "data"


def wanted(data: Path, name: str, kind: str, days: float | None, **more: Any) -> None:
    """A row as the loops write it, of a certificate that was made for 90 days and ends in so many."""
    row = {
        "name": name, "kind": kind, "issuer": "R11", "subject": name, "names": f'["{name}"]', "asked_at": 0,
        "failures": 0, "next_try_at": 0, "problem": None, "renew_at": NOW + 30 * 86_400, "fingerprint": "a" * 64,
        "not_before": NOW + ((days or 0) - 90) * 86_400, "not_after": NOW + (days or 0) * 86_400 + 3600, **more,
    }  # fmt: skip
    if days is None:
        row["fingerprint"] = ""
    with sqlite3.connect(data / "control" / "hereabouts.sqlite3") as database:
        marks = ", ".join("?" * len(row))
        database.execute(f"INSERT INTO control_certificate ({', '.join(row)}) VALUES ({marks})", list(row.values()))


def check(hereabouts: Run, **settings: str) -> dict[str, Any]:
    found = json.loads(hereabouts("doctor", "--json", settings=settings).stdout)
    return next(check for check in found if check["name"] == "certificates")


def test_each_kind_and_how_its_renewal_stands(data: Path, hereabouts: Run) -> None:
    config = load({"HEREABOUTS_DATA_DIR": str(data)}, data)
    local.ensure_authority(config)
    for name in ("alice.localhost", "a.test"):
        local.ensure_certificate(config, name)
    wanted(data, "a.test", "letsencrypt-auto-renew", 60)
    wanted(data, "b.test", "letsencrypt-auto-renew", 40, failures=1, problem="No.\nReally.", next_try_at=NOW + 999)
    wanted(data, "c.test", "letsencrypt-auto-renew", None)
    wanted(data, "d.test", "user-provided", 80)
    signed = x509.load_pem_x509_certificate(local.certificate_file(config, "alice.localhost").read_bytes())
    left = str(int((signed.not_valid_after_utc.timestamp() - time.time()) // 86_400))
    lines = hereabouts("certificates").stdout.splitlines()
    due, later = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW + s)) for s in (30 * 86_400, 999))
    assert [line.split("\t") for line in lines] == [
        ["a.test", "letsencrypt", "R11", "60", f"due {due}"],
        ["b.test", "letsencrypt", "R11", "40", f"failed once, next try {later}: No. Really."],
        ["c.test", "letsencrypt", "–", "–", "is being ordered"],
        ["d.test", "uploaded", "R11", "80", "its owner uploads a new one"],
        ["alice.localhost", "local", "Hereabouts local authority", left, "by the local authority"],
    ]
    assert check(hereabouts) | {"name": ""} == {
        "name": "", "ok": True, "found": "5, none of them ends soon", "remedy": ""
    }  # fmt: skip


def test_what_ends_soon_comes_first_and_is_told_by_doctor(data: Path, hereabouts: Run) -> None:
    wanted(data, "a.test", "letsencrypt-auto-renew", 60)
    wanted(data, "y.test", "letsencrypt-auto-renew", 12, failures=9, problem="The authority says no.")
    wanted(data, "z.test", "user-provided", -2)
    found = json.loads(hereabouts("certificates", "--json").stdout)
    assert [(each["name"], each["days_left"]) for each in found] == [("y.test", 12), ("z.test", -2), ("a.test", 60)]
    warning = "The certificate of y.test ends in 12 days and could not be renewed yet: The authority says no."
    assert found[0]["warning"] == warning
    assert found[2]["warning"] is None
    told = check(hereabouts)
    assert (told["ok"], told["found"]) == (False, f"{warning} (1 more)")
    assert hereabouts("doctor").returncode == 1


@pytest.mark.parametrize(
    ("age", "days", "ok", "words"),
    [
        (1, 60, True, "1, none"),
        (80, 9, False, "ends in 9 days. Put a new one into"),
        (1, 5, True, "1, none"),  # of a life of six days
        (1, None, False, "is not in use"),
    ],
)
def test_the_operators_wildcard(data: Path, hereabouts: Run, age: int, days: int | None, ok: bool, words: str) -> None:
    given = {"wildcard_certificate": str(data / "w.pem"), "wildcard_key": str(data / "w.key"), "domain": "sites.test"}
    cert, key = Authority().sign("*.sites.test", start=-age * DAY, end=(days or 1) * DAY)
    (data / "w.pem").write_text(cert)
    (data / "w.key").write_text(key)
    if days:
        (data / "certificates" / "own").mkdir(parents=True)
        (data / "certificates" / "own" / "_.sites.test.pem").write_text(key + cert)
    (each,) = json.loads(hereabouts("certificates", "--json", settings=given).stdout)
    assert (each["name"], each["kind"]) == ("*.sites.test", "wildcard")
    told = check(hereabouts, **given)
    assert told["ok"] is ok
    assert words in told["found"]


def test_a_damaged_file_is_no_hindrance(data: Path, hereabouts: Run) -> None:
    place = data / "certificates" / "local"
    place.mkdir(parents=True)
    (place / "a.localhost.pem").write_text("nonsense")
    assert hereabouts("certificates").stdout == ""


def test_doctor_without_a_platform_says_nothing_of_them(hereabouts: Run) -> None:
    names = [check["name"] for check in json.loads(hereabouts("doctor", "--json").stdout)]
    assert "certificates" not in names
