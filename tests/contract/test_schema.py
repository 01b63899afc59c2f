"""Schemathesis through the ingress, on sites that really start: what the schema says is what is answered."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.platform import Account, Platform

SCHEMATHESIS = Path(sys.prefix) / "bin" / "schemathesis"
SETTINGS = """\
[parameters]
username = "sam"
domain = "sam.localhost"
name = "sam.localhost"

[phases.coverage]
unexpected-methods = ["PUT", "DELETE", "PATCH", "POST", "OPTIONS"]

[[operations]]
include-operation-id = "reload_website"
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", "502"]

[[operations]]
include-operation-id = "set_certificate"
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", "503"]
"""


@pytest.fixture
def sam(running: Platform) -> Iterator[Account]:
    """An account of this test's own with a website that serves."""
    account = running.account("sam")
    account.create(
        "exec python3 -c 'import socket, os, time; s = socket.socket(socket.AF_UNIX); "
        's.bind(os.environ["DOMAIN_SOCKET"]); s.listen(); time.sleep(1e6)\''
    )
    yield account
    for website in account.call("GET").json():
        assert account.call("DELETE", website["domain_name"]).status_code == 204


def test_the_running_api_keeps_to_its_schema(running: Platform, sam: Account, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    argv = [
        SCHEMATHESIS, "run", f"{running.api}/api/schema/", "--tls-verify", running.config.ca_bundle,
        "--header", f"Authorization: Token {sam.token}", "--checks", "all", "--seed", "1", "--max-examples", "15",
        "--generation-deterministic", "--request-timeout", "60",
        # That a domain is taken, or is not this user's to take, is beyond what a schema can say. The URL's
        # user is given, so the schema's own idea of a missing token's answer is not tried here.
        "--exclude-checks", "positive_data_acceptance",
    ]  # fmt: skip
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
