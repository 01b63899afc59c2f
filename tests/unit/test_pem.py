"""Certificates that are uploaded: what is taken, and what is refused in which words."""

from __future__ import annotations

import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from hereabouts.core.pem import MAX_CERT, MAX_KEY, covers, details, parse_upload
from hereabouts.errors import InvalidInput
from tests.authority import DAY, Authority, certificate, key_pem, new_key, pem, rsa_key

NAME = "www.shop.test"
CA = Authority()
RSA = rsa_key()
SIGNED_WITH_SHA1 = """\
-----BEGIN CERTIFICATE-----
MIIBhjCCAS6gAwIBAgIUBPXFiHCFxf0tthhWniXu7PSuiRYwCQYHKoZIzj0EATAR
MQ8wDQYDVQQDDAZPbGQgQ0EwIBcNMjYxMTIzMDQ0MTEyWhgPMjEyNjEwMzAwNDQx
MTJaMBgxFjAUBgNVBAMMDXd3dy5zaG9wLnRlc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQTZQbDRFmd2F3OFLu0oSPcmTSzh9wSwx6PSVNLuObopF/3ONu3sXlS
pZ8E92eVx2YGwYXuzZiHRumKyGYFR5R4o1wwWjAYBgNVHREEETAPgg13d3cuc2hv
cC50ZXN0MB0GA1UdDgQWBBTq1O/yZdW9V5kKtRK8fTCN9VxXvzAfBgNVHSMEGDAW
gBTPRtM6ufYmLoZpfK3dcYKtT/XQ4TAJBgcqhkjOPQQBA0cAMEQCIHmafFPaFYdM
F6LngGe0exFmhStXAH5bHu6HdHSwpGh1AiBvgTtZHg4LH/MKkoZBEf3ECbxGintI
aZ2999Az5k7liw==
-----END CERTIFICATE-----
"""  # by `openssl x509 -req -sha1 -days 36500`
ITS_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg4haYEtRiMNGsy34w
jka4zafZ+h5sxVLIGjtbMpfIAQuhRANCAAQTZQbDRFmd2F3OFLu0oSPcmTSzh9wS
wx6PSVNLuObopF/3ONu3sXlSpZ8E92eVx2YGwYXuzZiHRumKyGYFR5R4
-----END PRIVATE KEY-----
"""


def refusal(cert: str, key: str, name: str = NAME) -> tuple[str, str]:
    with pytest.raises(InvalidInput) as refused:
        parse_upload(cert, key, name, time.time())
    assert refused.value.problem.endswith((".", "`."))
    return refused.value.field, refused.value.problem


def subjects(content: bytes) -> list[str]:
    return [str(found.subject.rfc4514_string()) for found in x509.load_pem_x509_certificates(content)]


def test_key_and_chain_are_one_file() -> None:
    cert, key = CA.sign(NAME, "shop.test")
    content, found = parse_upload(cert, key, NAME, time.time())
    assert content.startswith(key.encode())
    assert subjects(content) == [f"CN={NAME}", "CN=Test CA"]
    assert (found.issuer, found.subject, found.names) == ("Test CA", NAME, (NAME, "shop.test"))
    assert found.not_after - time.time() == pytest.approx(90 * 86400, abs=60)
    assert len(found.fingerprint) == 64


def test_a_chain_is_put_in_order() -> None:
    key = new_key()
    leaf = certificate(NAME, CA.name, key, CA.key, names=(NAME,))
    for given_order in (
        (CA.root, CA.intermediate, leaf),
        (CA.intermediate, leaf, CA.root),
        (leaf, CA.root, CA.intermediate),
    ):
        content, found = parse_upload(pem(*given_order), key_pem(key), NAME, time.time())
        assert subjects(content) == [f"CN={NAME}", "CN=Test CA", "CN=Test CA root"]
        assert found == details(leaf)


def test_one_without_a_chain_and_one_that_signed_itself() -> None:
    key = new_key()
    alone = certificate(NAME, CA.name, key, CA.key, names=(NAME,))
    own = certificate(NAME, NAME, key, key, names=(NAME,))
    for each in (alone, own):
        assert subjects(parse_upload(pem(each), key_pem(key), NAME, time.time())[0]) == [f"CN={NAME}"]


def test_another_signature_of_the_same_intermediate_is_passed_over() -> None:
    other = Authority("Other")
    cert, key = CA.sign(NAME)
    crossed = certificate(CA.name, "Other root", CA.key, other.root_key, ca=True)
    assert len(subjects(parse_upload(cert + pem(crossed), key, NAME, time.time())[0])) == 2


@pytest.mark.parametrize("kind", ["RSA", "old RSA", "old EC", "P-384", "with words"])
def test_keys_that_are_taken(kind: str) -> None:
    key = {"P-384": ec.generate_private_key(ec.SECP384R1())}.get(kind, RSA if "RSA" in kind else new_key())
    text = key_pem(key, old="old" in kind)
    if kind == "old EC":  # as `openssl ecparam -genkey` writes it
        text = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + text
    if kind == "with words":
        text = f"Bag Attributes\n  friendlyName: shop\n{text}\n\n"
    content, _ = parse_upload(CA.sign(NAME, key=key)[0], text, NAME, time.time())
    loaded = serialization.load_pem_private_key(content, None)
    assert loaded.public_key() == key.public_key()


def test_a_wildcard_covers_one_label() -> None:
    assert covers(["*.shop.test"], NAME)
    assert not covers(["*.shop.test"], "shop.test")
    assert not covers(["*.shop.test"], "a.b.shop.test")
    assert not covers(["*.test", "shop.test", "xwww.shop.test", "*"], NAME)
    cert, key = CA.sign("shop.test", "*.Shop.Test")
    assert parse_upload(cert, key, NAME, time.time())[1].names == ("shop.test", "*.shop.test")


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "-----BEGIN CERTIFICATE-----\n", key_pem(new_key()), "-----BEGIN ☃-----",
     "-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----",
     "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"],
)  # fmt: skip
def test_what_is_no_certificate(text: str) -> None:
    assert refusal(text, key_pem(new_key()))[0] == "cert"


def test_a_chain_without_end() -> None:
    cert, key = CA.sign(NAME)
    assert refusal("x" * (MAX_CERT + 1), key) == ("cert", "Ensure this field has no more than 100000 characters.")
    assert "at most 10 certificates; these are 22" in refusal(cert * 11, key)[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no private key in it"),
        ("nonsense", "no private key in it"),
        (CA.sign(NAME)[0], "no private key in it"),
        ("-----BEGIN PRIVATE KEY-----\n" * (MAX_KEY // 28), "no private key in it"),
        ("x" * (MAX_KEY + 1), "Ensure this field has no more than 20000 characters."),
        (key_pem(new_key()) * 2, "several private keys"),
        ("-----BEGIN PRIVATE KEY-----\nSECRETSECRET\n-----END PRIVATE KEY-----", "can't be read"),
        (key_pem(new_key(), "pass phrase"), "is encrypted"),
        (key_pem(RSA, "pass phrase", old=True), "is encrypted"),
        (key_pem(rsa_key(1024)), "has 1024 bits"),
        (key_pem(rsa_key(4104)), "has 4104 bits. Use one of 2048 to 4096;"),
        (key_pem(ec.generate_private_key(ec.SECP256K1())), "curve secp256k1"),
        (key_pem(ed25519.Ed25519PrivateKey.generate()), "Browsers don't take keys of this kind"),
        (key_pem(new_key()), f"does not belong to the certificate (for {NAME})"),
    ],
    ids=lambda value: value if " " in value and "\n" not in value else "",
)
def test_keys_that_are_refused(text: str, words: str) -> None:
    field, problem = refusal(CA.sign(NAME)[0], text)
    assert field == "private_key"
    assert words in problem
    assert "SECRET" not in problem


def test_a_chain_that_is_none() -> None:
    other = Authority("Other")
    leaf = certificate(NAME, CA.name, key := new_key(), CA.key, names=(NAME,))
    field, problem = refusal(pem(leaf, other.intermediate), key_pem(key))
    assert field == "cert"
    assert "www.shop.test was signed by Test CA, which is not here, and Other does not belong to it" in problem
    forged = certificate(CA.name, "Other", other.key, other.key, ca=True)  # the right name, another key
    assert "The chain is broken" in refusal(pem(leaf, forged), key_pem(key))[1]


def test_dates() -> None:
    field, problem = refusal(*CA.sign(NAME, start=-90 * DAY, end=-DAY))
    assert (field, "The certificate ended on 2" in problem) == ("cert", True)
    assert "is not valid before 2" in refusal(*CA.sign(NAME, start=DAY))[1]
    leaf = certificate(NAME, CA.name, key := new_key(), CA.key, names=(NAME,))
    old = certificate(CA.name, f"{CA.name} root", CA.key, CA.root_key, ca=True, start=-90 * DAY, end=-DAY)
    assert "The chain's certificate Test CA ended on" in refusal(pem(leaf, old), key_pem(key))[1]


def test_a_weak_signature() -> None:
    field, problem = refusal(SIGNED_WITH_SHA1, ITS_KEY)
    assert field == "cert"
    assert problem == f"{NAME} is signed with SHA1, which browsers refuse. Get one that is signed with SHA-256."


def test_names() -> None:
    assert "is not for www.shop.test: it is for shop.test." in refusal(*CA.sign("shop.test"))[1]
    assert "names no host (subjectAltName)" in refusal(*CA.sign(subject=NAME))[1]
    many = tuple(f"n{number}.test" for number in range(9))
    assert "n4.test, …." in refusal(*CA.sign(*many))[1]


def test_uses() -> None:
    assert "not meant for servers" in refusal(*CA.sign(NAME, uses=(ExtendedKeyUsageOID.CLIENT_AUTH,)))[1]
    for use in (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE):
        parse_upload(*CA.sign(NAME, uses=(use,)), NAME, time.time())


def test_a_name_with_a_zero_in_it_can_be_stored() -> None:
    cert, key = CA.sign(NAME, subject="a\0b")
    assert parse_upload(cert, key, NAME, time.time())[1].subject == "ab"


@given(st.text(), st.text())
def test_any_text_is_refused_in_words(cert: str, key: str) -> None:
    refusal(cert, key)
