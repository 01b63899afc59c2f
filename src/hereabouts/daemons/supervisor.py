"""The supervisor's process: the loop with the database and the local authority at its side."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from concurrent.futures import ThreadPoolExecutor

from hereabouts import files
from hereabouts.certificates.own import Certificates
from hereabouts.config import Config
from hereabouts.core.store import Store
from hereabouts.daemons import health
from hereabouts.supervisor.loop import Supervisor


def run(config: Config) -> None:
    """Supervise until TERM or INT (which end the sandboxes) or USR1 (which leaves them running)."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    os.umask(0o022)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hereabouts.control.settings")
    import django

    django.setup()
    from django.db import connections

    database = connections.settings["default"]
    database["CONN_MAX_AGE"] = None  # one thread, one connection, which keeps SQLite's log open
    if not config.database:  # what it saw it would see again: not worth waiting for the disk
        database["OPTIONS"]["init_command"] += " PRAGMA synchronous=NORMAL;"
        database["OPTIONS"]["timeout"] = 1  # seconds; what can't be written is tried again, others read meanwhile
    from hereabouts.control.store import DjangoStore

    for path in (config.routes, config.instances, config.homes, config.logs):
        files.directory(path, mode=0o711 if path == config.homes else 0o755)
    gc.collect()
    gc.freeze()  # what is loaded now stays for good: to look at it again would stop all for 20 ms, now and then
    asyncio.run(_supervise(config, DjangoStore()))


async def _supervise(config: Config, store: Store) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(32))
    await Supervisor(config, store, Certificates(config), lambda: health.gather(config)).run()
