"""Orders at a certificate authority: RFC 8555 with the challenge http-01, and renewal information (RFC 9773).

Around certbot's library. Its clients block, so all of this runs in threads.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

import requests
from acme import challenges, crypto_util, errors, messages
from acme.client import ClientV2
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.interfaces import JSONDeSerializable
from josepy.json_util import field

from hereabouts import files
from hereabouts.certificates.account import Account, AccountGone, network, refusal
from hereabouts.certificates.orders import Order, Orders
from hereabouts.config import Config
from hereabouts.core import pem
from hereabouts.core.certificate import Fault
from hereabouts.core.renewal import Window
from hereabouts.errors import OrderFailed

_PATIENCE_SECONDS = 90.0
_FIRST_POLL_SECONDS = 0.02
_LONGEST_POLL_SECONDS = 5.0
_MOST_POLL_SECONDS = 30.0
_UNDER_WAY = (messages.STATUS_READY, messages.STATUS_PROCESSING)


class _NewOrder(messages.NewOrder):
    """With the certificate that it is a renewal of, which lifts limits (RFC 9773, 5)."""

    replaces: str = field("replaces", omitempty=True)


class _Unknown(Exception):
    """The authority does not go on with an order that was begun earlier."""


class Authority:
    """The certificate authority of the settings. Methods block, raise OrderFailed, and are safe from any thread."""

    def __init__(self, config: Config, patience: float = _PATIENCE_SECONDS) -> None:
        """``patience`` is how long an order may take, in seconds, before it is left to the next try."""
        home = files.directory(config.secret_file.parent / "acme", mode=0o700)
        self.orders = Orders(home / "orders")
        self._config, self._patience = config, patience
        self._account = Account(config, home)
        self._tokens = config.challenges / ".well-known" / "acme-challenge"

    def is_another(self) -> bool:
        """Whether the last account was at another authority than this one."""
        return self._account.is_elsewhere()

    def issue(self, name: str, replaces: x509.Certificate | None = None) -> bytes:
        """Order a certificate for one name, or go on with its order; returns the private key and the chain as PEM.

        ``replaces`` is the one that visitors see now. The order stays on disk until ``orders.forget``.
        """
        order = self.orders.find(name)
        if order is not None and order.url and order.directory == self._config.acme_directory:
            with suppress(_Unknown, AccountGone):
                return self._finish(order)
        with suppress(AccountGone):
            return self._finish(*self._begin(name, replaces))
        return self._finish(*self._begin(name, replaces))

    def window(self, certificate: x509.Certificate) -> tuple[Window | None, float | None]:
        """When the authority would like this one to be renewed, and seconds until it wants to be asked again.

        No window where the authority gives none.
        """
        with self._account.client() as client:
            base = _renewal_address(client)
            number = renewal_number(certificate)
            if base is None or number is None:
                return None, None
            answer = client.net.get(f"{base.rstrip('/')}/{number}").json()
            found = messages.RenewalInfo.from_json(answer).suggested_window
            return Window(found.start.timestamp(), found.end.timestamp()), network(client).retry_after

    def _begin(self, name: str, replaces: x509.Certificate | None) -> tuple[Order, messages.Order]:
        """A new order, kept, and what the authority says of it."""
        key = pem.key_pem(ec.generate_private_key(ec.SECP256R1())).decode()
        order = Order(name, self._config.acme_directory, key)
        with self._account.client() as client:
            body: dict[str, object] = {
                "identifiers": [messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name)],
            }
            number = renewal_number(replaces) if replaces is not None and _renewal_address(client) else None
            try:
                response = _post(client, client.directory["newOrder"], _NewOrder(**body, replaces=number))
            except (errors.ConflictError, messages.Error) as error:
                serious = isinstance(error, messages.Error) and network(client).concerns_all(error)
                if number is None or serious:
                    raise
                response = _post(client, client.directory["newOrder"], _NewOrder(**body))
        order = Order(name, order.directory, key, response.headers["Location"])
        self.orders.keep(order)
        return order, messages.Order.from_json(response.json())

    def _finish(self, order: Order, body: messages.Order | None = None) -> bytes:
        """Go on with an order, ``body`` being what is known of it, to its certificate."""
        url, deadline = order.url or "", time.monotonic() + self._patience
        with self._account.client() as client:
            body = body or self._look(client, url)
            if body.status == messages.STATUS_PENDING:
                for each in body.authorizations:
                    self._authorize(client, order, each, deadline)
                body = _poll(client, url, messages.Order.from_json, {messages.STATUS_PENDING}, deadline)
            if body.status == messages.STATUS_READY:
                csr = x509.load_pem_x509_csr(crypto_util.make_csr(order.key.encode(), domains=[order.name]))
                answer = _post(client, body.finalize, messages.CertificateRequest(csr=csr))
                body = messages.Order.from_json(answer.json())
            if body.status in _UNDER_WAY:
                body = _poll(client, url, messages.Order.from_json, _UNDER_WAY, deadline)
            if body.status != messages.STATUS_VALID:
                self.orders.forget(order.name)
                if body.error is not None:
                    raise refusal(body.error)
                raise OrderFailed(Fault.AUTHORITY, f"The certificate authority gave the order up ({body.status.name}).")
            chain = _post(client, str(body.certificate), None).text
        return self._checked(order, chain)

    def _look(self, client: ClientV2, url: str) -> messages.Order:
        """The order as it stands. Raises _Unknown for one that leads nowhere."""
        try:
            body: messages.Order = messages.Order.from_json(_post(client, url, None).json())
        except messages.Error as error:
            if network(client).concerns_all(error):
                raise
            raise _Unknown from error
        if body.status == messages.STATUS_INVALID:
            raise _Unknown
        return body

    def _authorize(self, client: ClientV2, order: Order, url: str, deadline: float) -> None:
        """Prove that the name leads here: nginx answers the authority's request with the token's file."""
        found = messages.Authorization.from_json(_post(client, url, None).json())
        if found.status != messages.STATUS_PENDING:
            return self._require(order, found)
        challenge = next((each for each in found.challenges if isinstance(each.chall, challenges.HTTP01)), None)
        if challenge is None:
            raise OrderFailed(Fault.AUTHORITY, "The certificate authority does not offer the challenge http-01.")
        answer, content = challenge.response_and_validation(self._account.key)
        file = files.directory(self._tokens) / challenge.chall.encode("token")
        files.replace(file, content, mode=0o644)
        try:
            if challenge.status == messages.STATUS_PENDING:
                _post(client, challenge.uri, answer)
            found = _poll(client, url, messages.Authorization.from_json, {messages.STATUS_PENDING}, deadline)
        finally:
            file.unlink(missing_ok=True)
        return self._require(order, found)

    def _require(self, order: Order, found: messages.Authorization) -> None:
        if found.status == messages.STATUS_VALID:
            return
        self.orders.forget(order.name)
        for challenge in found.challenges:
            if challenge.error is not None:
                raise refusal(challenge.error)
        raise OrderFailed(Fault.AUTHORITY, f"The certificate authority gave {order.name} up ({found.status.name}).")

    def _checked(self, order: Order, chain: str) -> bytes:
        """Key and chain, if they are what was ordered."""
        try:
            leaf = x509.load_pem_x509_certificate(chain.encode())
            key = serialization.load_pem_private_key(order.key.encode(), None)
            fits = leaf.public_key() == key.public_key() and order.name in pem.alternative_names(leaf)
        except ValueError:
            fits = False
        if not fits:
            self.orders.forget(order.name)
            raise OrderFailed(Fault.AUTHORITY, "The certificate authority sent another certificate than was ordered.")
        return order.key.encode() + chain.encode()


def renewal_number(certificate: x509.Certificate) -> str | None:
    """What renewal information calls a certificate (RFC 9773, 4.1); None for one that names no authority's key."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound:
        return None
    identifier, serial = extension.value.key_identifier, certificate.serial_number
    if identifier is None:
        return None
    number = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (identifier, number))


def _renewal_address(client: ClientV2) -> str | None:
    try:
        return str(client.directory["renewalInfo"])
    except KeyError:
        return None


def _post(client: ClientV2, url: str, body: JSONDeSerializable | None) -> requests.Response:
    """A signed request; without a body it only reads (RFC 8555, 6.3)."""
    return client.net.post(url, body, new_nonce_url=client.directory["newNonce"])


def _poll(
    client: ClientV2,
    url: str,
    parse: Callable[[Any], Any],
    waiting: Collection[messages.Status],
    deadline: float,
) -> Any:
    """What is at an address, once its status is none of ``waiting``. Soon at first, then as the authority asks."""
    pause = _FIRST_POLL_SECONDS
    while True:
        found = parse(_post(client, url, None).json())
        if found.status not in waiting:
            return found
        if time.monotonic() > deadline:
            raise OrderFailed(
                Fault.WAITING, "The certificate authority is still at it. The next try goes on with the same order."
            )
        asked = min(network(client).retry_after or 0.0, _MOST_POLL_SECONDS)
        time.sleep(max(asked, pause))
        pause = min(pause * 1.5, _LONGEST_POLL_SECONDS)
