"""TLS as visitors meet it: versions, resumption, whose certificate is shown to whom, and how new ones get there."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from hereabouts import poke
from hereabouts.core.certificate import file_name
from tests.integration.sites import ANSWERS, site, uvicorn
from tests.platform import Account, Platform, platform, wait_for

DOMAIN = "tls-alice.localhost"
LONG = ".".join(["a" * 60] * 4)
SSLYZE = Path(__file__).parents[2] / ".venv" / "sslyze" / "bin" / "sslyze"


@pytest.fixture(scope="module")
def website(alice: Account) -> Iterator[str]:
    alice.write("tls_site.py", ANSWERS)
    with site(alice, uvicorn("tls_site"), DOMAIN):
        yield DOMAIN


def _context(running: Platform, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(running.config.ca_bundle))
    if version:
        made.minimum_version = made.maximum_version = version
    return made


def _connect(
    running: Platform, name: str | None, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", running.https), timeout=20)
    return context.wrap_socket(plain, server_hostname=name, session=session)


def _ask(connection: ssl.SSLSocket, name: str = DOMAIN) -> bytes:
    connection.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
    return connection.makefile("rb").read()


def _shown(running: Platform, name: str | None) -> x509.Certificate:
    """The certificate that a client who trusts everybody is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with _connect(running, name, context) as connection:
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")


def _names(certificate: x509.Certificate) -> set[str]:
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return {str(name.value) for name in extension.value}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed(running: Platform, website: str, version: ssl.TLSVersion) -> None:
    context = _context(running, version)
    with _connect(running, website, context) as first:
        assert not first.session_reused
        assert _ask(first).startswith(b"HTTP/1.1 200")
        session = first.session
    for _ in range(8):  # whichever worker of nginx it comes to
        with _connect(running, website, context, session) as again:
            assert again.session_reused
            assert _ask(again).startswith(b"HTTP/1.1 200")
            session = again.session


@pytest.mark.parametrize("option", ["-ssl3", "-tls1", "-tls1_1"])
def test_older_versions_are_refused(running: Platform, website: str, option: str) -> None:
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{running.https}", "-servername", website, option,
         "-cipher", "ALL:@SECLEVEL=0"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert done.returncode != 0
    assert "BEGIN CERTIFICATE" not in done.stdout


@pytest.mark.parametrize("offered", [["h2", "http/1.1"], ["http/1.1"], ["h2"]])
def test_application_protocols(running: Platform, website: str, offered: list[str]) -> None:
    context = _context(running)
    context.set_alpn_protocols(offered)
    with _connect(running, website, context) as connection:
        assert connection.selected_alpn_protocol() == offered[0]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    "name", ["nobody.localhost", "www.nobody.example", LONG, "a.tls-alice.localhost", "_.localhost"]
)
def test_a_name_without_a_certificate_is_refused(
    running: Platform, website: str, name: str, version: ssl.TLSVersion
) -> None:
    context = _context(running, version)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.raises(ssl.SSLError, match="ALERT_HANDSHAKE_FAILURE"):
        _connect(running, name, context)


def test_refusing_leaves_no_noise(running: Platform, website: str) -> None:
    log = running.config.logs / "platform" / "nginx.log"
    before = log.read_text()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with pytest.raises(ssl.SSLError):
            _connect(running, "nobody.localhost", _context(running, version))
    assert running.visit(website).status_code == 200
    assert log.read_text() == before


@pytest.mark.parametrize("name", [None, "localhost", "www.localhost", "hereabouts.internal", "LOCALHOST", "127.0.0.1"])
def test_the_platforms_own_names_show_its_certificate(running: Platform, name: str | None) -> None:
    assert {"localhost", "www.localhost", "hereabouts.internal", "127.0.0.1"} <= _names(_shown(running, name))


def test_a_name_is_the_same_in_capitals(running: Platform, website: str) -> None:
    assert _names(_shown(running, website.upper())) == {website}


def _authority() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    return key, _signed(["a public authority"], key, None)


def _signed(
    names: list[str],
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    authority: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
        .issuer_name(authority[1].subject if authority else subject)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
    )  # fmt: skip
    if authority:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(authority[0] if authority else key, hashes.SHA256())  # type: ignore[arg-type]


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, *chain: x509.Certificate) -> bytes:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    text = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return text + b"".join(each.public_bytes(serialization.Encoding.PEM) for each in chain)


def _offer(running: Platform, name: str, content: bytes, uid: int | None = None) -> Path:
    path = running.config.offered / file_name(name)
    path.write_bytes(content)
    uid = running.config.control_uid if uid is None else uid
    os.chown(path, uid, uid)
    path.chmod(0o600)
    return path


def _tell(running: Platform, line: str) -> str:
    return poke.ask(running.config.supervisor_socket, line, seconds=20)


@pytest.fixture
def own(running: Platform, website: str) -> Iterator[x509.Certificate]:
    """A certificate of the website's own, installed."""
    key = rsa.generate_private_key(65537, 2048)
    authority = _authority()
    certificate = _signed([website], key, authority)
    path = _offer(running, website, _pem(key, certificate, authority[1]))
    assert _tell(running, f"install {website}") == "done"
    assert not path.exists()
    yield certificate
    assert _tell(running, f"withdraw {website}") == "done"


def test_a_certificate_of_its_own_is_shown_at_once(running: Platform, website: str, own: x509.Certificate) -> None:
    assert _shown(running, website) == own
    installed = running.config.certificates / "own" / file_name(website)
    assert installed.stat().st_mode & 0o777 == 0o600
    for _ in range(3):
        authority = _authority()
        key = ec.generate_private_key(ec.SECP256R1())
        newer = _signed([website], key, authority)
        _offer(running, website, _pem(key, newer, authority[1]))
        assert _tell(running, f"install {website}") == "done"
        assert {_shown(running, website) for _ in range(8)} == {newer}
    assert _tell(running, f"withdraw {website}") == "done"
    assert _shown(running, website) != newer
    with _connect(running, website, _context(running)) as connection:
        assert _ask(connection).startswith(b"HTTP/1.1 200")


def test_the_whole_chain_is_shown(running: Platform, website: str, own: x509.Certificate) -> None:
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{running.https}", "-servername", website, "-showcerts"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert done.stdout.count("BEGIN CERTIFICATE") == 2


def test_what_is_not_fit_is_refused_and_the_one_before_stays(
    running: Platform, website: str, own: x509.Certificate, tmp_path: Path
) -> None:
    authority, key = _authority(), ec.generate_private_key(ec.SECP256R1())
    good = _pem(key, _signed([website], key, authority), authority[1])
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    short = rsa.generate_private_key(65537, 1024)
    bad = {
        "another key": _pem(ec.generate_private_key(ec.SECP256R1()), _signed([website], key, authority)),
        "no certificate": _pem(key),
        "no key": good[good.index(b"-----BEGIN CERT") :],
        "nothing": b"",
        "junk": b"\0" * 1000,
        "a locked key": locked + good[good.index(b"-----BEGIN CERT") :],
        "a short key": _pem(short, _signed([website], short, authority)),
        "too much": good + b"\n" * (1 << 20),
    }
    for what, content in bad.items():
        _offer(running, website, content)
        assert _tell(running, f"install {website}").startswith("refused "), what
    path = _offer(running, website, good, uid=0)
    assert "no file of the platform's user" in _tell(running, f"install {website}")
    path.unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(good)
    path.symlink_to(elsewhere)
    assert "refused none was offered" in _tell(running, f"install {website}")
    path.unlink()
    os.mkfifo(path)
    os.chown(path, running.config.control_uid, running.config.control_uid)
    assert "no file of the platform's user" in _tell(running, f"install {website}")
    path.unlink()
    assert "refused none was offered" in _tell(running, f"install {website}")
    for name in ("../x", "_.localhost", "", ".x", "a/b", "x" * 300):
        assert _tell(running, f"install {name}") in ("what", "refused that is no host name.")
    assert _shown(running, website) == own


def test_a_long_name_has_a_certificate_of_its_own(running: Platform) -> None:
    authority, key = _authority(), ec.generate_private_key(ec.SECP256R1())
    certificate = _signed([LONG], key, authority)
    _offer(running, LONG, _pem(key, certificate, authority[1]))
    assert _tell(running, f"install {LONG}") == "done"
    try:
        assert _shown(running, LONG) == certificate
    finally:
        assert _tell(running, f"withdraw {LONG}") == "done"


def _sslyze(running: Platform, name: str, tmp_path: Path) -> dict[str, Any]:
    out = tmp_path / "found.json"
    done = subprocess.run(
        [str(SSLYZE), "--mozilla_config=intermediate", f"--json_out={out}",
         f"--certinfo_ca_file={running.config.ca_bundle}", f"{name}:{running.https}{{127.0.0.1}}"],
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "Compliant" in done.stdout
    return json.loads(out.read_text())


@pytest.mark.parametrize("name", [DOMAIN, "localhost"])
def test_sslyze_finds_nothing(running: Platform, website: str, tmp_path: Path, name: str) -> None:
    """Mozilla's intermediate profile, and whatever else sslyze looks for."""
    found = _sslyze(running, name, tmp_path)
    result = found["server_scan_results"][0]["scan_result"]
    assert not result["heartbleed"]["result"]["is_vulnerable_to_heartbleed"]


@pytest.fixture(scope="module")
def wildcard() -> Iterator[tuple[Platform, Path]]:
    """A platform whose operator gave a wildcard certificate."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        _give(directory)
        with platform(
            DOMAIN="sites.example.com", WILDCARD_CERTIFICATE=str(directory / "cert.pem"),
            WILDCARD_KEY=str(directory / "key.pem"),
        ) as made:  # fmt: skip
            yield made, directory


def _give(directory: Path, names: tuple[str, ...] = ("*.sites.example.com", "sites.example.com")) -> x509.Certificate:
    authority, key = _authority(), ec.generate_private_key(ec.SECP256R1())
    certificate = _signed(list(names), key, authority)
    (directory / "key.pem").write_bytes(_pem(key))
    (directory / "cert.pem").write_bytes(_pem(key, certificate, authority[1]).partition(b"KEY-----\n-----BEGIN C")[2])
    (directory / "cert.pem").write_bytes(
        b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (certificate, authority[1]))
    )
    return certificate


def test_the_operators_wildcard_certificate(wildcard: tuple[Platform, Path]) -> None:
    made, directory = wildcard
    given = x509.load_pem_x509_certificate((directory / "cert.pem").read_bytes())
    for name in ("demo.sites.example.com", "www.sites.example.com", "sites.example.com", None):
        wait_for(lambda name=name: _shown(made, name) == given, what=f"the wildcard certificate for {name}")
    for name in ("a.demo.sites.example.com", "sites.example.org", "xsites.example.com"):
        with pytest.raises(ssl.SSLError, match="ALERT_HANDSHAKE_FAILURE"):
            _shown(made, name)
    newer = _give(directory)
    wait_for(lambda: _shown(made, "demo.sites.example.com") == newer, what="the newer one without a restart")
    log = made.config.logs / "platform" / "supervisor.log"
    (directory / "cert.pem").write_bytes(b"half of it")
    wait_for(lambda: "is refused, the one before stays" in log.read_text())
    assert _shown(made, "demo.sites.example.com") == newer
    _give(directory, ("*.another.example.com",))
    wait_for(lambda: "is not for *.sites.example.com" in log.read_text())
    assert _shown(made, "demo.sites.example.com") == newer
