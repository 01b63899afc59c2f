"""The local authority and what it signs."""

from __future__ import annotations

import os
import ssl
import stat
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hereabouts.certificates import local
from hereabouts.certificates.own import Certificates
from hereabouts.config import Config, load
from hereabouts.core.certificate import Certificate, Kind


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = load({"HEREABOUTS_DATA_DIR": str(tmp_path)}, tmp_path)
    local.ensure_authority(made)
    return made


def _names(path: Path) -> list[object]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return [name.value for name in extension.value]


def test_the_authority_stays_and_its_key_is_private(config: Config) -> None:
    before = config.authority_file.read_bytes()
    local.ensure_authority(config)
    assert config.authority_file.read_bytes() == before
    assert stat.S_IMODE((config.certificates / "authority.key").stat().st_mode) == 0o600


def test_one_file_holds_the_key_and_the_chain(config: Config) -> None:
    local.ensure_certificate(config, "demo.localhost")
    path = local.certificate_file(config, "demo.localhost")
    content = path.read_bytes()
    certificates = x509.load_pem_x509_certificates(content)
    assert len(certificates) == 2
    assert load_pem_private_key(content, None).public_key() == certificates[0].public_key()
    certificates[0].verify_directly_issued_by(certificates[1])
    assert (certificates[0].not_valid_after_utc - certificates[0].not_valid_before_utc).days < 366
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)


def test_the_platform_certificate_covers_its_names(config: Config) -> None:
    local.ensure_platform_certificate(config)
    names = [str(name) for name in _names(local.certificate_file(config, config.host))]
    assert {"localhost", "www.localhost", "127.0.0.1"} <= set(names)


def test_nothing_is_issued_twice_and_a_repeat_is_quick(config: Config) -> None:
    local.ensure_certificate(config, "demo.localhost")
    before = local.certificate_file(config, "demo.localhost").stat().st_mtime_ns
    began = time.perf_counter()
    for _ in range(100):
        local.ensure_certificate(config, "demo.localhost")
    assert time.perf_counter() - began < 0.5
    assert local.certificate_file(config, "demo.localhost").stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", [b"", b"no certificate"])
def test_a_damaged_certificate_is_replaced(config: Config, damage: bytes) -> None:
    path = local.certificate_file(config, "demo.localhost")
    local.ensure_certificate(config, "demo.localhost")
    path.write_bytes(damage)
    local.ensure_certificate(config, "demo.localhost")
    assert _names(path) == ["demo.localhost"]


def test_another_authority_means_other_certificates(config: Config) -> None:
    local.ensure_certificate(config, "demo.localhost")
    (config.certificates / "authority.key").unlink()
    local.ensure_authority(config)
    local.ensure_certificate(config, "demo.localhost")
    leaf, authority = x509.load_pem_x509_certificates(local.certificate_file(config, "demo.localhost").read_bytes())
    leaf.verify_directly_issued_by(authority)
    assert authority == x509.load_pem_x509_certificate(config.authority_file.read_bytes())


def test_a_long_name(config: Config) -> None:
    name = ".".join(["a" * 60] * 4)
    local.ensure_certificate(config, name)
    assert _names(local.certificate_file(config, name)) == [name]


def test_the_bundle_holds_the_usual_authorities_and_the_local_one(config: Config) -> None:
    content = local.ca_bundle(config).read_bytes()
    assert config.authority_file.read_bytes() in content
    assert content.count(b"BEGIN CERTIFICATE") > 50


def test_what_an_earlier_version_kept_moves(config: Config) -> None:
    local.ensure_certificate(config, "demo.localhost")
    before = local.certificate_file(config, "demo.localhost").read_bytes()
    former = config.certificates / "live"
    (config.certificates / "local").rename(former)
    local.move_former(config)
    assert local.certificate_file(config, "demo.localhost").read_bytes() == before
    assert (former / "demo.localhost.pem").read_bytes() == before, "for an nginx that was started before"
    local.move_former(config)
    assert not former.exists()
    local.ensure_certificate(config, "demo.localhost")
    assert local.certificate_file(config, "demo.localhost").read_bytes() == before


def test_the_names_of_websites_are_looked_at_once_a_day(config: Config) -> None:
    own = Certificates(config)
    own.look(["demo.localhost"])
    path = local.certificate_file(config, "demo.localhost")
    assert _names(path) == ["demo.localhost"]
    path.unlink()
    own.look(["demo.localhost"])
    assert not path.exists(), "not every few seconds"
    Certificates(config).look(["demo.localhost"])
    assert path.exists()


def test_what_nobody_has_any_more_is_removed_once_it_is_old(config: Config) -> None:
    own = Certificates(config)
    for name in ("demo.localhost", "gone.localhost", "new.localhost"):
        own.prepare(name)
    for name in ("demo.localhost", "gone.localhost"):
        os.utime(local.certificate_file(config, name), (0, 0))
    own.take_over(["demo.localhost"], [])
    left = [local.certificate_file(config, f"{name}.localhost").exists() for name in ("demo", "gone", "new")]
    assert left == [True, False, True]


def test_what_is_uploaded_stays_and_is_told_once_it_is_lost(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    own, place = Certificates(config), config.certificates / "own"
    place.mkdir(parents=True)
    for name in ("kept.test", "former.test"):
        (place / f"{name}.pem").write_text("")
        os.utime(place / f"{name}.pem", (0, 0))
    held = [Certificate(name, Kind.UPLOADED) for name in ("kept.test", "lost.test")]

    own.sweep([], held)

    assert [path.name for path in place.iterdir()] == ["kept.test.pem"]
    assert caplog.messages == [
        "The certificate that was uploaded for lost.test is lost. Its owner has to upload it again."
    ]
