"""The ground that the platform's processes stand on: directories, certificates, network, nginx's configuration.

All of it is safe to repeat, also under a platform that runs.
"""

from __future__ import annotations

import os
import stat
import sys

from hereabouts import files
from hereabouts.config import Config
from hereabouts.daemons import checks, jobs
from hereabouts.daemons.environ import environment


def directories(config: Config) -> None:
    """Make the directories that the rest is put in, with their owners and modes."""
    owner = (config.control_uid, config.control_uid)
    if not config.data_dir.exists():
        files.directory(config.data_dir)
    mode = stat.S_IMODE(config.data_dir.stat().st_mode)
    if mode & 0o111 != 0o111:
        config.data_dir.chmod(mode | 0o111)
    files.directory(config.homes, mode=0o711)
    files.directory(config.logs)
    files.directory(config.logs / "platform", mode=0o750)
    files.directory(config.certificates)
    files.directory(config.secret_file.parent, mode=0o700, owner=owner)
    files.directory(config.offered, mode=0o700, owner=owner)


def certificates_and_network(config: Config) -> None:
    """Make the local authority, the platform's certificate and the sandboxes' network."""
    from hereabouts.certificates import local
    from hereabouts.sandbox import network

    local.move_former(config)
    local.ensure_authority(config)
    local.ensure_platform_certificate(config)
    local.ca_bundle(config)
    network.prepare(config)


def prepare_machine(config: Config) -> None:
    """Everything for processes that systemd runs, the database too; nginx writes its configuration as it starts.

    It waits for a PostgreSQL server that is still starting: were this to fail, nobody would try again.
    """
    checks.require(checks.root(config))
    os.umask(0o022)
    files.directory(config.run_dir)
    directories(config)
    certificates_and_network(config)
    if config.database:
        from hereabouts.daemons import postgresql

        postgresql.wait_until_up(config.database, _say_that_it_waits)
    jobs.call(config, "prepare", environment(config))


def _say_that_it_waits(reason: str) -> None:
    print(f"The database does not answer yet; waiting for it: {reason}", file=sys.stderr, flush=True)
