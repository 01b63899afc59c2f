"""The control process: Django under uvicorn, on a unix socket, without privileges."""

from __future__ import annotations

import ctypes
import os
import socket

import uvicorn

from hereabouts.config import Config
from hereabouts.daemons.environ import drop_privileges
from hereabouts.sandbox.homes import nginx_ids

_M_MMAP_THRESHOLD = -3


def run(config: Config) -> None:
    """Serve the API until TERM or INT. As root it takes control's own user id first."""
    # Else what one password's hash took, 16 MB, would stay with each thread that made one (mallopt(3)).
    ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)
    listener = _listen(config)
    if os.geteuid() == 0:
        drop_privileges(config.control_uid)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hereabouts.control.settings")
    from hereabouts.control.database import hold_open

    kept = hold_open(config)
    settings = uvicorn.Config(
        "hereabouts.control.asgi:application",
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(settings).run(sockets=[listener])
    if kept:
        kept.close()


def _listen(config: Config) -> socket.socket:
    """The socket that nginx connects to; a new one, whatever an earlier process left."""
    path = config.control_socket
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(fresh))
    if os.geteuid() == 0:
        os.chown(fresh, config.control_uid, nginx_ids(config)[1])
    fresh.chmod(0o660)  # for nginx's workers alone: whoever else connects could say that it is somebody's visitor
    listener.listen(1024)
    fresh.replace(path)
    return listener
