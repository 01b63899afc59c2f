"""What visitors are shown: a TLS handshake with our own ingress."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

from cryptography import x509

from hereabouts.config import Config

_SECONDS = 10.0
_TRIES, _PAUSE_SECONDS = 3, 0.1
_REFUSALS = ("HANDSHAKE_FAILURE", "UNRECOGNIZED_NAME")
"""The alerts that say no to the name (RFC 8446, 6.2); all others tell of trouble of another kind."""
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class NotAnswering(Exception):
    """The ingress did not go through with a handshake, which says nothing of its certificates."""


class _BrokenOff(NotAnswering):
    """It closed the connection; the next try may fare better."""


async def shown(config: Config, name: str) -> x509.Certificate | None:
    """The certificate that a visitor of this name sees now; None where nginx refuses the name.

    A handshake of its own, so nothing remembered is told. Raises NotAnswering.
    """
    for _ in range(_TRIES - 1):
        with suppress(_BrokenOff):
            return await _handshake(config, name)
        await asyncio.sleep(_PAUSE_SECONDS)
    return await _handshake(config, name)


async def _handshake(config: Config, name: str) -> x509.Certificate | None:
    address = config.listen[0].strip("[]")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(
                _EVERYWHERE.get(address, address), config.https_port, ssl=context, server_hostname=name
            )
    except (ConnectionResetError, ssl.SSLEOFError) as error:  # a worker that was killed, or has no room
        raise _BrokenOff("the connection was closed in the handshake") from error
    except ssl.SSLError as error:
        if any(refusal in (error.reason or "").upper().replace(" ", "_") for refusal in _REFUSALS):
            return None
        raise NotAnswering(error.reason or str(error)) from error
    except (OSError, TimeoutError) as error:
        raise NotAnswering(str(error) or "no answer in time") from error
    try:
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    return x509.load_der_x509_certificate(found) if found else None
