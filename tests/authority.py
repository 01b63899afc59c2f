"""A small certificate authority for tests: a root, an intermediate, and certificates as its customers get them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

Key = Any
DAY = timedelta(days=1)


def pem(*certificates: x509.Certificate) -> str:
    return "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in certificates)


def key_pem(key: Key, password: str = "", *, old: bool = False) -> str:
    """The key in PEM; ``old`` is the form with its kind in the first line."""
    form = serialization.PrivateFormat.TraditionalOpenSSL if old else serialization.PrivateFormat.PKCS8
    cipher: Any = serialization.NoEncryption()
    if password:
        cipher = serialization.BestAvailableEncryption(password.encode())
    return key.private_bytes(serialization.Encoding.PEM, form, cipher).decode()


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def certificate(
    subject: str, issuer: str, key: Key, signer: Key, *, names: tuple[str, ...] = (), ca: bool = False,
    start: timedelta = -DAY, end: timedelta = 90 * DAY, uses: tuple[x509.ObjectIdentifier, ...] = (),
) -> x509.Certificate:  # fmt: skip
    """A certificate; ``start`` and ``end`` are counted from now."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + start)
        .not_valid_after(now + end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    if uses:
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    return builder.sign(signer, hashes.SHA256())


class Authority:
    """Signs with an intermediate that its root signed."""

    def __init__(self, name: str = "Test CA") -> None:
        self.name, self.root_key, self.key = name, new_key(), new_key()
        self.root = certificate(f"{name} root", f"{name} root", self.root_key, self.root_key, ca=True, end=3650 * DAY)
        self.intermediate = certificate(name, f"{name} root", self.key, self.root_key, ca=True, end=1000 * DAY)

    def sign(self, *names: str, key: Key = None, **more: Any) -> tuple[str, str]:
        """A certificate with its chain for these names, and the key: both in PEM."""
        key = key or new_key()
        leaf = certificate(
            more.pop("subject", names[0] if names else ""), self.name, key, self.key, names=names, **more
        )
        return pem(leaf, self.intermediate), key_pem(key)
