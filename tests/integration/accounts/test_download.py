"""A log that is downloaded while the supervisor ends: what has no end is not taken for the whole."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.integration.accounts.conftest import House

DOMAIN = "alice.example.org"
LOG = f"/websites/{DOMAIN}/logs/error/download"
HALF = {"text": "half of it\n", "offset": 0, "next": 11, "size": 22, "rotated": False}


@contextmanager
def fading(home: House) -> Iterator[None]:
    """A supervisor that gives one answer, the first half of a log, and is gone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(home.config.supervisor_socket))
        home.config.supervisor_socket.chmod(0o666)
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb") as stream:
                stream.readline()
                home.config.supervisor_socket.unlink()
                stream.write(json.dumps(HALF).encode() + b"\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        thread.join()


def test_what_has_no_end_is_not_taken_for_the_whole(home: House) -> None:
    alice = home.browser("alice")
    assert alice.post("/websites/new/", domain_name=DOMAIN, framework="own", command="true").status_code == 303
    with fading(home), pytest.raises(httpx.RemoteProtocolError):
        alice.get(LOG)
    refused = alice.get(LOG)
    assert refused.status_code == 303
    assert "The supervisor is not answering" in alice.get(refused.headers["Location"]).text
