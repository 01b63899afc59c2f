"""What the local authority signs for: names and addresses, each as what it is; one that fails is no other's trouble."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from hereabouts import config as configuration
from hereabouts.certificates import local
from hereabouts.certificates.own import Certificates
from hereabouts.config import Config


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Config]:
    yield configuration.load({"HEREABOUTS_DOMAIN": "sites.lab2", "HEREABOUTS_DATA_DIR": str(tmp_path)})


def signed_for(config: Config, name: str) -> tuple[list[str], list[object]]:
    """The names and the addresses of a name's certificate."""
    found = x509.load_pem_x509_certificate(local.certificate_file(config, name).read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName), list(names.get_values_for_type(x509.IPAddress))


@pytest.mark.parametrize("name", ["shop.web3", "a.b1", "192.0.2.1.nip.io0"])
def test_a_name_whose_last_character_is_a_digit_is_a_name(config: Config, name: str) -> None:
    local.ensure_certificate(config, name)

    assert signed_for(config, name) == ([name], [])


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "2001:db8::a"])
def test_an_address_is_one(config: Config, address: str) -> None:
    local.ensure_certificate(config, address)

    assert signed_for(config, address) == ([], [ip_address(address)])


def test_the_platforms_own_names_may_end_with_a_digit(config: Config) -> None:
    local.ensure_platform_certificate(config)

    names, addresses = signed_for(config, config.host)
    assert {"sites.lab2", config.host} <= set(names)
    assert addresses == [ip_address("127.0.0.1")]


def test_a_name_that_fails_is_told_and_all_others_have_their_certificates(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    strange = "bücher.test"  # no name is kept like this
    Certificates(config).look([strange, "www.example.org"])

    assert signed_for(config, "www.example.org") == (["www.example.org"], [])
    assert [record.message for record in caplog.records] == [f"No certificate for {strange} could be made."]
