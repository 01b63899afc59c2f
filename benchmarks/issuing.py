"""From an owner's order by the API to the first good handshake, over what the authority itself takes for one.

The authority is a Pebble on this machine. What it takes is measured in the same run by a bare client: certbot's library
with a web server for the challenge in the same process, asking again every few milliseconds.
"""

from __future__ import annotations

import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

from acme import challenges, crypto_util, messages
from acme.client import ClientNetwork, ClientV2
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwa import ES256
from josepy.jwk import JWKEC
from tests import certified
from tests.pebble import Pebble, pebble
from tests.platform import Account

from benchmarks.report import Row
from benchmarks.stage import SETTINGS, Stage

_LIMIT_MS = 500
_PAUSE_SECONDS = 0.005
_ALONE = {"PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}


def run(stage: Stage) -> list[Row]:
    """Issue in turns, through the platform and with the bare client, each with a Pebble of its own."""
    count = 3 if stage.quick else 15
    stage.say("Starting a platform with a certificate authority")
    ours, bare = [], []
    with (
        _tokens() as tokens,
        _authority(tokens) as authority,
        certified.staged(settings=SETTINGS, direct=True, **_ALONE) as other,
    ):
        client = _client(authority)
        _bare(client, tokens, "warm.example.org")
        owner = other.platform.account("owner")
        trusting = ssl.create_default_context(cadata=other.pebble.root())
        for number in range(count + 1):
            name = f"bench{number}.example.org"
            owner.create("true", name, enabled=False)
            ours.append(_order(owner, trusting, name))
            bare.append(_bare(client, tokens, name))
    ours, bare = ours[1:], bare[1:]  # the first makes the account
    difference = (median(ours) - median(bare)) * 1000
    return [
        Row(
            f"a certificate from POST …/ssl/ to the first good handshake (median of {count}), over the authority's own "
            "time as a bare client measures it",
            f"{median(ours) * 1000:.0f} ms ({_all(ours)})",
            f"{median(bare) * 1000:.0f} ms ({_all(bare)})",
            f"{difference:+.0f} ms",
            f"≤ +{_LIMIT_MS} ms",
            difference <= _LIMIT_MS,
        )
    ]


def _order(owner: Account, trusting: ssl.SSLContext, name: str) -> float:
    """Seconds from the call of the API until a visitor who trusts the authority is served."""
    url = f"{owner.platform.api}/api/v1/user/{owner.name}/domains/{name}/ssl/"
    began = time.perf_counter()
    answer = owner.session.post(url, json={"cert_type": "letsencrypt-auto-renew"}, timeout=120)
    assert answer.status_code == 200, answer.text
    with socket.create_connection(("127.0.0.1", owner.platform.https), timeout=10) as plain:
        trusting.wrap_socket(plain, server_hostname=name).close()
    return time.perf_counter() - began


def _all(times: list[float]) -> str:
    return ", ".join(f"{each * 1000:.0f}" for each in sorted(times))


class _Tokens(ThreadingHTTPServer):
    """Answers the authority's requests."""

    daemon_threads = True
    known: dict[str, str]


class _Token(BaseHTTPRequestHandler):
    server: _Tokens

    def do_GET(self) -> None:
        content = self.server.known.get(self.path.rpartition("/")[2], "").encode()
        self.send_response(200 if content else 404)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *words: object) -> None: ...


@contextmanager
def _tokens() -> Iterator[_Tokens]:
    server = _Tokens(("127.0.0.1", 0), _Token)
    server.known = {}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _authority(tokens: _Tokens) -> Iterator[Pebble]:
    with tempfile.TemporaryDirectory(prefix="pebble-") as place, pebble(Path(place), **_ALONE) as made:
        made.http_port = tokens.server_port
        made.start()
        yield made


def _client(authority: Pebble) -> ClientV2:
    net = ClientNetwork(JWKEC(key=ec.generate_private_key(ec.SECP256R1())), alg=ES256)
    net.verify_ssl = str(authority.trust)  # type: ignore[assignment]
    client = ClientV2(ClientV2.get_directory(authority.url, net), net)
    client.new_account(messages.NewRegistration.from_data(terms_of_service_agreed=True))
    return client


def _bare(client: ClientV2, tokens: _Tokens, name: str) -> float:
    """Seconds for one certificate."""
    began = time.perf_counter()
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    order = client.new_order(crypto_util.make_csr(key, domains=[name]))
    for authorization in order.authorizations:
        body = next(each for each in authorization.body.challenges if isinstance(each.chall, challenges.HTTP01))
        answer, content = body.response_and_validation(client.net.key)
        tokens.known[body.chall.encode("token")] = content
        client.answer_challenge(body, answer)
        while client.poll(authorization)[0].body.status == messages.STATUS_PENDING:
            time.sleep(_PAUSE_SECONDS)
    while _look(client, order.uri).status == messages.STATUS_PENDING:
        time.sleep(_PAUSE_SECONDS)
    client.begin_finalization(order)
    while (found := _look(client, order.uri)).status != messages.STATUS_VALID:
        time.sleep(_PAUSE_SECONDS)
    x509.load_pem_x509_certificate(_get(client, found.certificate).text.encode())
    return time.perf_counter() - began


def _look(client: ClientV2, url: str) -> messages.Order:
    return messages.Order.from_json(_get(client, url).json())


def _get(client: ClientV2, url: str):  # type: ignore[no-untyped-def]
    return client.net.post(url, None, new_nonce_url=client.directory["newNonce"])
