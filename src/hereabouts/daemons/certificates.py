"""The certificates process: orders, renewals and DNS, without privileges and without a port."""

from __future__ import annotations

import asyncio
import gc
import logging
import os

from hereabouts import files
from hereabouts.config import Config
from hereabouts.daemons.environ import drop_privileges


def run(config: Config) -> None:
    """Work until TERM or INT. As root it takes control's user id first."""
    owner = (config.control_uid, config.control_uid)
    if os.geteuid() == 0:
        files.directory(config.certificates_socket.parent, mode=0o711, owner=owner)
        drop_privileges(config.control_uid)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hereabouts.control.settings")
    import django

    django.setup()
    logging.getLogger("hereabouts.certificates").setLevel(logging.INFO)  # one line for each certificate and failure
    from django.db import connections

    connections.settings["default"]["CONN_MAX_AGE"] = None  # one thread, one connection
    from hereabouts.certificates.loop import CertificatesLoop
    from hereabouts.control.store import DjangoStore

    async def work() -> None:
        await CertificatesLoop(config, DjangoStore()).run()

    gc.collect()
    gc.freeze()  # as the supervisor does
    asyncio.new_event_loop().run_until_complete(work())
    logging.shutdown()
    os._exit(0)  # without waiting for threads that wait for the authority: the next process goes on with its orders
