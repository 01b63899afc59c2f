"""What visitors are shown: a TLS handshake with our own ingress."""

from __future__ import annotations

import asyncio
import ssl

from cryptography import x509

from hereabouts.config import Config

_SECONDS = 10.0
_TRIES, _PAUSE_SECONDS = 3, 0.1
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class NotAnswering(Exception):
    """The ingress did not take part in a handshake, which says nothing of its certificates."""


async def shown(config: Config, name: str) -> x509.Certificate | None:
    """The certificate that a visitor of this name sees now; None where nginx refuses the name.

    A handshake of its own, so nothing remembered is told. Raises NotAnswering.
    """
    for _ in range(_TRIES):
        try:
            return await _handshake(config, name)
        except ConnectionResetError:  # a refusal looks like this, and so does an nginx that is killed
            await asyncio.sleep(_PAUSE_SECONDS)
    return None


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
    except ssl.SSLError:
        return None
    except ConnectionResetError:
        raise
    except (OSError, TimeoutError) as error:
        raise NotAnswering(str(error) or "no answer in time") from error
    try:
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    return x509.load_der_x509_certificate(found) if found else None
