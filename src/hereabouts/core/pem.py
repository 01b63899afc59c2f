"""Certificates as people upload them: what is read from PEM, and what is refused in which words.

Nothing here ever puts a private key, or a part of one, into a message. Times are in seconds since the epoch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hereabouts.core.certificate import Details
from hereabouts.errors import InvalidInput

MAX_CERT, MAX_KEY = 100_000, 20_000
"""Characters of what is uploaded."""
# Up to the next mark: to search on from each BEGIN to the end of the text would take a time that grows as its square.
_KEY_BLOCK = re.compile(r"-----BEGIN ((?:[A-Z0-9]+ )*PRIVATE KEY)-----(?:[^-]|-(?!----))*-----END \1-----")
_MAX_CHAIN = 10
_RSA_BITS = range(2048, 4097)
"""Less is refused by browsers, more costs every visitor's handshake too much."""
_WEAK = (hashes.MD5, hashes.SHA1)

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def parse_upload(cert: str, private_key: str, domain: str, now: float) -> tuple[bytes, Details]:
    """The key with its chain in order, as one PEM file for nginx, and what the certificate says.

    Raises InvalidInput for ``cert`` or ``private_key``: unreadable, not one pair, not for this domain, not valid now.
    """
    for name, text, most in (("cert", cert, MAX_CERT), ("private_key", private_key, MAX_KEY)):
        if len(text) > most:
            raise InvalidInput(name, f"Ensure this field has no more than {most} characters.")
    found = _parse_certificates(cert)
    key = _parse_key(private_key)
    chain = _in_order(found, key)
    for number, certificate in enumerate(chain):
        _check_dates(certificate, now, leaf=number == 0)
        _check_signature(certificate)
    _check_use(chain[0], domain)
    parts = [certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain]
    return key_pem(key) + b"".join(parts), details(chain[0])


def key_pem(key: PrivateKey) -> bytes:
    """The key in PEM, as PKCS #8, unencrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def details(certificate: x509.Certificate) -> Details:
    """What a certificate says. Raises ValueError for one that can't be read."""
    names = alternative_names(certificate)
    return Details(
        issuer=_short(certificate.issuer) or "unknown",
        subject=_short(certificate.subject) or next(iter(names), ""),
        names=names,
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The host names, in lower case, and the addresses that the certificate is for (RFC 5280, 4.2.1.6)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    hosts = [_clean(name).lower() for name in found.get_values_for_type(x509.DNSName)]
    return (*hosts, *(str(address) for address in found.get_values_for_type(x509.IPAddress)))


def covers(names: Iterable[str], domain: str) -> bool:
    """Whether one of the names is the domain, or a wildcard for its first label (RFC 6125, 6.4.3)."""
    wildcard = "*." + domain.partition(".")[2]
    return any(name in (domain, wildcard) for name in names)


def _short(name: x509.Name) -> str:
    """The common name, else the organization, else all of it."""
    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in name.get_attributes_for_oid(kind):
            if attribute.value:
                return _clean(str(attribute.value))
    return _clean(name.rfc4514_string())


def _clean(text: str) -> str:
    """A text that every database can hold."""
    return text.replace("\0", "")


def _parse_certificates(text: str) -> list[x509.Certificate]:
    if "-----BEGIN" not in text:
        raise InvalidInput(
            "cert", "This is not PEM. Give the certificate and its chain, each from -----BEGIN CERTIFICATE----- on."
        )
    try:
        found = x509.load_pem_x509_certificates(text.encode())
        for certificate in found:
            certificate.public_key()
            details(certificate)
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidInput(
            "cert",
            "There is no certificate that can be read in it. Give the PEM blocks as the authority sent them, "
            "each from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----.",
        ) from None
    if len(found) > _MAX_CHAIN:
        raise InvalidInput("cert", f"A chain has at most {_MAX_CHAIN} certificates; these are {len(found)}.")
    return found


def _parse_key(text: str) -> PrivateKey:
    blocks = [match.group(0) for match in _KEY_BLOCK.finditer(text)]
    if len(blocks) != 1:
        raise InvalidInput(
            "private_key",
            "There are several private keys in it. Give the certificate's own."
            if blocks
            else "There is no private key in it. Give one in PEM, from -----BEGIN PRIVATE KEY----- on.",
        )
    try:
        key = serialization.load_pem_private_key(blocks[0].encode(), None)
    except TypeError:
        raise InvalidInput(
            "private_key",
            "The private key is encrypted, and its pass phrase can't be asked for here. "
            "Decrypt it first: `openssl pkey -in encrypted.pem -out key.pem`.",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidInput("private_key", "The private key can't be read. Give it as it was made.") from None
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size not in _RSA_BITS:
            raise InvalidInput(
                "private_key",
                f"The RSA key has {key.key_size} bits. Use one of {_RSA_BITS[0]} to {_RSA_BITS[-1]}; 2048 is usual.",
            )
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1):
            raise InvalidInput("private_key", f"Browsers don't know the key's curve {key.curve.name}. Use P-256.")
        return key
    raise InvalidInput("private_key", "Browsers don't take keys of this kind. Use RSA with 2048 bits, or P-256.")


def _in_order(found: list[x509.Certificate], key: PrivateKey) -> list[x509.Certificate]:
    """The key's certificate, then each one's issuer. Raises InvalidInput where one does not belong to them."""
    public = key.public_key()
    rest = list(found)
    chain = [certificate for certificate in rest if certificate.public_key() == public][:1]
    if not chain:
        raise InvalidInput(
            "private_key",
            f"The private key does not belong to the certificate (for {details(found[0]).subject}). "
            "Give the key that the certificate was asked for with.",
        )
    rest.remove(chain[0])
    while issuer := next((candidate for candidate in rest if _signed(candidate, chain[-1])), None):
        chain.append(issuer)
        rest.remove(issuer)
    known = [certificate.public_key() for certificate in chain]
    strange = next((certificate for certificate in rest if certificate.public_key() not in known), None)
    if strange is not None:
        raise InvalidInput(
            "cert",
            f"The chain is broken: {_short(chain[-1].subject) or 'the certificate'} was signed by "
            f"{_short(chain[-1].issuer)}, which is not here, and {_short(strange.subject)} does not belong to it. "
            "Give the authority's own chain.",
        )
    return chain


def _signed(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return issuer != certificate


def _check_dates(certificate: x509.Certificate, now: float, *, leaf: bool) -> None:
    what = "The certificate" if leaf else f"The chain's certificate {_short(certificate.subject)}"
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now >= last.timestamp():
        raise InvalidInput("cert", f"{what} ended on {last:%Y-%m-%d at %H:%M} UTC. Get a new one from the authority.")
    if now < first.timestamp():
        raise InvalidInput("cert", f"{what} is not valid before {first:%Y-%m-%d at %H:%M} UTC. Upload it then.")


def _check_signature(certificate: x509.Certificate) -> None:
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    if isinstance(algorithm, _WEAK) and certificate.issuer != certificate.subject:
        raise InvalidInput(
            "cert",
            f"{_short(certificate.subject)} is signed with {algorithm.name.upper()}, which browsers refuse. "
            "Get one that is signed with SHA-256.",
        )


def _check_use(certificate: x509.Certificate, domain: str) -> None:
    names = alternative_names(certificate)
    if not covers(names, domain):
        shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        raise InvalidInput(
            "cert",
            f"The certificate is not for {domain}: it is for {shown}." if names
            else f"The certificate names no host (subjectAltName), so browsers refuse it. Get one for {domain}.",
        )  # fmt: skip
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if ExtendedKeyUsageOID.SERVER_AUTH not in uses and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in uses:
        raise InvalidInput("cert", "The certificate is not meant for servers (extendedKeyUsage). Get one that is.")
