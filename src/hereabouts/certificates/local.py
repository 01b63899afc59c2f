"""The local authority: it signs for the names that no public authority knows, such as demo.localhost.

A certificate is one file, ``local/{name}.pem``, with its private key and its chain, so that no reader ever
pairs an old key with a new certificate.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hereabouts import files
from hereabouts.config import Config
from hereabouts.core.certificate import file_name
from hereabouts.sandbox.homes import nginx_ids

AUTHORITY_NAME = "Hereabouts local authority"
_AUTHORITY_LIFE = timedelta(days=3650)
_LIFE = timedelta(days=365)
"""Mozilla's profile has less than 366, https://wiki.mozilla.org/Security/Server_Side_TLS; browsers accept 398."""
_RENEW = timedelta(days=30)
_BACKDATE = timedelta(days=2)
"""A certificate that was made while this machine's clock was ahead is good once it is right again."""
_MAX_COMMON_NAME = 64
"""RFC 5280, upper bound of a common name."""
_SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")

_Pair = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]
_lock = threading.Lock()
_known: dict[Path, tuple[int, int, float]] = {}
"""For each certificate found good: its own and the authority's time of change (ns), and when to renew it."""


def move_former(config: Config) -> None:
    """Move what an earlier version kept in ``live/``. An nginx of that version finds it there until the next start."""
    former, present = config.certificates / "live", config.certificates / "local"
    if former.is_symlink():
        former.unlink()
    elif former.is_dir() and not present.exists():
        former.rename(present)
        former.symlink_to(present.name)
    elif former.is_dir():
        shutil.rmtree(former)


def ensure_authority(config: Config) -> None:
    """Make the local authority where it is missing, ends soon, or does not belong to its key."""
    with _lock:
        _authority(config)


def ensure_certificate(config: Config, name: str) -> None:
    """Make sure that ``certificate_file`` holds a good certificate for one host name. Safe from any thread."""
    _ensure(config, certificate_file(config, name), (name,))


def is_due(config: Config, name: str) -> bool:
    """Whether to look at a name's certificate more closely: by its age alone, which is quick."""
    try:
        age = time.time() - certificate_file(config, name).stat().st_mtime
    except FileNotFoundError:
        return True
    return timedelta(seconds=age) > _LIFE - _RENEW


def ensure_platform_certificate(config: Config) -> None:
    """The same for the platform's own names, localhost and 127.0.0.1, in one certificate."""
    names = sorted({*config.platform_hosts, "localhost", "127.0.0.1"} - {config.host})
    _ensure(config, certificate_file(config, config.host), (config.host, *names))


def forget(config: Config, name: str) -> None:
    """Remove the certificate and key of a name that nobody has any more."""
    certificate_file(config, name).unlink(missing_ok=True)


def certificate_file(config: Config, name: str) -> Path:
    """Where the certificate that the local authority signed for ``name`` is."""
    return config.certificates / "local" / file_name(name)


def ca_bundle(config: Config) -> Path:
    """Write the bundle that clients trust: the usual authorities and the local one."""
    bundle = _usual_authorities().rstrip() + b"\n\n" + config.authority_file.read_bytes()
    if not config.ca_bundle.is_file() or config.ca_bundle.read_bytes() != bundle:
        files.replace(config.ca_bundle, bundle)
    return config.ca_bundle


def _usual_authorities() -> bytes:
    if _SYSTEM_BUNDLE.is_file():
        return _SYSTEM_BUNDLE.read_bytes()
    try:
        import certifi
    except ImportError:
        return b""
    return Path(certifi.where()).read_bytes()


def _ensure(config: Config, path: Path, names: tuple[str, ...]) -> None:
    if not _is_known(config, path):
        with _lock:
            if not _is_known(config, path):
                _issue_unless_good(config, path, names)


def _is_known(config: Config, path: Path) -> bool:
    known = _known.get(path)
    if known is None:
        return False
    try:
        found = (path.stat().st_mtime_ns, config.authority_file.stat().st_mtime_ns)
    except FileNotFoundError:
        return False
    return found == known[:2] and datetime.now(UTC).timestamp() < known[2]


def _issue_unless_good(config: Config, path: Path, names: tuple[str, ...]) -> None:
    authority = _authority(config)
    certificate = _load_good(path, names, authority[1])
    if certificate is None:
        certificate = _issue(path, names, authority, _owner(config))
    _known[path] = (
        path.stat().st_mtime_ns,
        config.authority_file.stat().st_mtime_ns,
        (certificate.not_valid_after_utc - _RENEW).timestamp(),
    )


def _load_good(path: Path, names: tuple[str, ...], authority: x509.Certificate) -> x509.Certificate | None:
    """The certificate in the file, unless it is damaged, ends soon, or is for others or by another."""
    try:
        content = path.read_bytes()
        certificate = x509.load_pem_x509_certificate(content)
        key = serialization.load_pem_private_key(content, None)
        certificate.verify_directly_issued_by(authority)
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, ValueError, InvalidSignature, x509.ExtensionNotFound):
        return None
    if key.public_key() != certificate.public_key() or list(found) != _alternative_names(names):
        return None
    return certificate if _lasts(certificate) else None


def _lasts(certificate: x509.Certificate) -> bool:
    return datetime.now(UTC) < certificate.not_valid_after_utc - _RENEW


def _alternative_names(names: tuple[str, ...]) -> list[x509.GeneralName]:
    return [_alternative_name(name) for name in names]


def _alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _owner(config: Config) -> tuple[int, int] | None:
    return nginx_ids(config) if os.geteuid() == 0 else None


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _issue(path: Path, names: tuple[str, ...], authority: _Pair, owner: tuple[int, int] | None) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    short = len(names[0]) <= _MAX_COMMON_NAME
    common_name = [x509.NameAttribute(NameOID.COMMON_NAME, names[0])] if short else []
    now = datetime.now(UTC)
    builder = (
        _builder(x509.Name(common_name), authority[1].subject, key, now - _BACKDATE, now + _LIFE - _BACKDATE)
        .add_extension(x509.SubjectAlternativeName(_alternative_names(names)), critical=not short)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority[0].public_key()), critical=False)
    )
    certificate = builder.sign(authority[0], hashes.SHA256())
    files.directory(path.parent, mode=0o711)
    files.replace(path, _key_pem(key) + _pem(certificate) + _pem(authority[1]), mode=0o600, owner=owner)
    return certificate


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority(config: Config) -> _Pair:
    """The authority's key and certificate, made where they are missing. The caller holds the lock."""
    key = _authority_key(config)
    try:
        certificate = x509.load_pem_x509_certificate(config.authority_file.read_bytes())
    except (FileNotFoundError, ValueError):
        return key, _make_authority(config, key)
    if certificate.public_key() != key.public_key() or not _lasts(certificate):
        return key, _make_authority(config, key)
    return key, certificate


def _authority_key(config: Config) -> ec.EllipticCurvePrivateKey:
    path = config.certificates / "authority.key"
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (FileNotFoundError, ValueError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        key = ec.generate_private_key(ec.SECP256R1())
        files.directory(config.certificates)
        files.replace(path, _key_pem(key), mode=0o600)
    return key


def _make_authority(config: Config, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY_NAME)])
    now = datetime.now(UTC)
    certificate = (
        _builder(name, name, key, now - _BACKDATE, now + _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    files.replace(config.authority_file, _pem(certificate))
    return certificate
