"""Our account at the certificate authority, and the connections that sign with its key."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from acme import errors, messages
from acme.client import ClientNetwork, ClientV2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC

from hereabouts import files
from hereabouts.config import Config
from hereabouts.core.certificate import Fault
from hereabouts.errors import OrderFailed

_NONCE_TRIES = 12
_TIMEOUT_SECONDS = 30
_LIMIT_PAUSE = 3600.0
"""How long a limit is respected for which the authority names no end."""
_USER_AGENT = "hereabouts"
_TOO_MANY, _SERVER_ERROR = 429, 500
_CONCERN_ALL = ("rateLimited", "serverInternal", "accountDoesNotExist")


class Network(ClientNetwork):
    """certbot's connection to an authority, which sends again what came with a nonce that was refused.

    ``status`` is the last answer's, ``retry_after`` what its Retry-After asked for in seconds, None when it had none.
    """

    def __init__(self, key: JWK, trust: str) -> None:
        super().__init__(key, alg=ES256, user_agent=_USER_AGENT, timeout=_TIMEOUT_SECONDS)
        if trust:
            self.verify_ssl = cast(bool, trust)  # requests takes the path of a file as well
        self.status = 0
        self.retry_after: float | None = None
        self.session.hooks["response"].append(self._note)

    def _note(self, response: requests.Response, *args: Any, **kwargs: Any) -> None:
        self.status = response.status_code
        self.retry_after = retry_seconds(response.headers.get("Retry-After"), time.time())

    def concerns_all(self, error: messages.Error) -> bool:
        """Whether a refusal has nothing to do with what was asked for: the authority would refuse any other, too."""
        return self.status >= _SERVER_ERROR or self.status == _TOO_MANY or error.code in _CONCERN_ALL

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send, and again with a new nonce for as often as the authority does not take it (RFC 8555, 6.5)."""
        for _ in range(_NONCE_TRIES):
            try:
                return self._post_once(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
                refused = error
        raise refused


def retry_seconds(text: str | None, now: float) -> float | None:
    """The seconds that a Retry-After header means, a number or a date (RFC 9110, 10.2.3); None for neither."""
    if text is None:
        return None
    try:
        return max(0.0, float(text)) if text.strip().isdigit() else parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None


class AccountGone(OrderFailed):
    """{problem}"""


class Account:
    """The account, made at the authority when it is first needed. Safe from any thread."""

    def __init__(self, config: Config, directory: Path) -> None:
        """``directory`` is where key and address of the account are kept, each readable by its owner alone."""
        self._config, self._directory = config, directory
        self._free: queue.LifoQueue[ClientV2] = queue.LifoQueue()
        self._lock = threading.Lock()
        self._registered: messages.RegistrationResource | None = None
        self._key: JWKEC | None = None

    @property
    def key(self) -> JWKEC:
        """The account's private key, made at the first look."""
        with self._lock:
            if self._key is None:
                self._key = _load_key(self._directory / "account.key")
            return self._key

    @contextmanager
    def client(self) -> Iterator[ClientV2]:
        """A client that nobody else uses meanwhile. Inside, what goes wrong becomes OrderFailed."""
        try:
            client: ClientV2 | None = self._free.get_nowait()
        except queue.Empty:
            client = None
        net = network(client) if client else Network(self.key, self._config.acme_trust)
        with told(self._config.acme_directory, net):
            try:
                client = client or self._connect(net)
                yield client
            except messages.Error as error:
                if error.code == "accountDoesNotExist":
                    self._forget()
                    raise AccountGone(Fault.AUTHORITY, "The certificate authority has forgotten us.") from error
                raise
            if net.account is self._registered:
                self._free.put(client)

    def _connect(self, net: Network) -> ClientV2:
        client = ClientV2(ClientV2.get_directory(self._config.acme_directory, net), net)
        with self._lock:
            if self._registered is None:
                self._registered = self._known() or self._register(client)
            net.account = self._registered
        return client

    @property
    def _file(self) -> Path:
        return self._directory / "account.json"

    def is_elsewhere(self) -> bool:
        """Whether the last account was at another authority than that of the settings."""
        try:
            return bool(json.loads(self._file.read_text(encoding="utf-8"))["directory"] != self._config.acme_directory)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return False

    def _known(self) -> messages.RegistrationResource | None:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
            same = (found["directory"], found["email"]) == (self._config.acme_directory, self._config.acme_email)
            return _resource(found["uri"]) if same else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def _register(self, client: ClientV2) -> messages.RegistrationResource:
        """Agree to the terms and have an account; the key's own where there is one already (RFC 8555, 7.3.1)."""
        email = self._config.acme_email
        wanted = messages.NewRegistration.from_data(
            email=email or None, terms_of_service_agreed=True, external_account_binding=self._binding(client)
        )
        try:
            uri = client.new_account(wanted).uri
        except errors.ConflictError as known:
            uri = known.location
            client.net.account = _resource(uri)
            contact = messages.Registration.from_data(email=email or None)
            client.update_registration(client.net.account, contact)
        kept = {"directory": self._config.acme_directory, "email": email, "uri": uri}
        files.replace(self._file, json.dumps(kept), mode=0o600)
        return _resource(uri)

    def _binding(self, client: ClientV2) -> dict[str, Any] | None:
        """What binds the new account to the one that the operator has at the authority (RFC 8555, 7.3.4)."""
        config, host = self._config, urlsplit(self._config.acme_directory).hostname
        if not config.acme_eab_key_id:
            if not client.external_account_required():
                return None
            raise OrderFailed(
                Fault.PLATFORM,
                f"The certificate authority {host} wants to know whose account it is (external account binding). The "
                "operator of this platform sets `acme_eab_key_id` and `acme_eab_key_file` to what it gave.",
            )
        file = config.acme_eab_key_file
        try:
            key = Path(file).read_text(encoding="ascii").strip()
            return messages.ExternalAccountBinding.from_data(
                cast(JWK, client.net.key).public_key(), config.acme_eab_key_id, key, client.directory
            )
        except OSError as error:
            why = f"can't be read by user id {config.control_uid}: {error.strerror}"
        except ValueError:
            why = "is not the key as an authority gives it, a line in base64url"
        raise OrderFailed(
            Fault.PLATFORM, f"{file} (`acme_eab_key_file`) {why}. The operator of this platform has to mend that."
        )

    def _forget(self) -> None:
        """The authority does not know the account any more: the next client makes it anew."""
        with self._lock:
            self._registered = None
            files.replace(self._file, json.dumps({"directory": self._config.acme_directory}), mode=0o600)
            self._free = queue.LifoQueue()  # each of those is the former account's


def network(client: ClientV2) -> Network:
    """The client's connection as the class that it is."""
    return cast(Network, client.net)


def _resource(uri: str) -> messages.RegistrationResource:
    return messages.RegistrationResource(body=messages.Registration(), uri=uri)


def _load_key(path: Path) -> JWKEC:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (FileNotFoundError, ValueError):
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        files.replace(path, pem, mode=0o600)
    return JWKEC(key=key)


@contextmanager
def told(directory: str, net: Network) -> Iterator[None]:
    """What goes wrong with the authority, as OrderFailed in words for people: its own where it has any."""
    host = urlsplit(directory).hostname
    try:
        yield
    except messages.Error as error:
        raise refusal(error, net.status, net.retry_after) from error
    except requests.RequestException as error:
        raise OrderFailed(
            Fault.UNREACHABLE, f"The certificate authority {host} can't be reached: {_reason(error)}."
        ) from error
    except errors.ClientError as error:
        response = next((found for found in error.args if isinstance(found, requests.Response)), None)
        said = f"HTTP {response.status_code}" if response is not None else str(error) or type(error).__name__
        if response is not None and response.status_code == _TOO_MANY:
            problem = f"The certificate authority {host} takes no more requests now: {said}."
            raise _failure(Fault.LIMIT, problem, net.retry_after) from error
        problem = f"The certificate authority {host} is out of order: {said}."
        raise _failure(Fault.UNREACHABLE, problem, net.retry_after) from error
    except (errors.Error, JoseError, ValueError, KeyError) as error:
        raise OrderFailed(
            Fault.AUTHORITY, f"The certificate authority {host} gave an answer that makes no sense: {error}"
        ) from error


def refusal(error: messages.Error, status: int = 0, retry_after: float | None = None) -> OrderFailed:
    """The authority's own problem (RFC 8555, 6.7) as a failure, with the status and Retry-After that it came with."""
    parts = [error, *(error.subproblems or ())]
    details = " ".join(part.detail or part.title or "" for part in parts).strip() or "without a word."
    named = str(error.typ).startswith(messages.ERROR_PREFIX) or not status
    kind = str(error.typ).removeprefix(messages.ERROR_PREFIX) if named else f"HTTP {status}"
    problem = f"The certificate authority says: {details} ({kind})"
    if error.code == "rateLimited" or status == _TOO_MANY:
        return _failure(Fault.LIMIT, problem, retry_after)
    if error.code == "serverInternal" or status >= _SERVER_ERROR:
        return _failure(Fault.UNREACHABLE, problem, retry_after)
    return OrderFailed(Fault.AUTHORITY, problem)


def _failure(fault: Fault, problem: str, retry_after: float | None) -> OrderFailed:
    """A failure that has nothing to do with what was asked for, with the moment from which on to ask again."""
    if retry_after is None:
        retry_after = _LIMIT_PAUSE if fault is Fault.LIMIT else None
    return OrderFailed(fault, problem, None if retry_after is None else time.time() + retry_after)


def _reason(error: BaseException) -> str:
    """The innermost words: urllib3 wraps the system's own several times."""
    if isinstance(error, requests.Timeout):
        return f"no answer within {_TIMEOUT_SECONDS} s"
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.strerror:
            return str(found.strerror)
        inner = next((each for each in found.args if isinstance(each, BaseException)), None)
        found = inner or getattr(found, "reason", None) or found.__cause__ or found.__context__
    return str(error)[:300]
