"""The installation's secret: it signs sessions and derives the tokens that sandboxes carry."""

from __future__ import annotations

import os
import secrets

from hereabouts import files
from hereabouts.config import Config
from hereabouts.errors import MachineError


def ensure_secret(config: Config) -> None:
    """Make the secret where there is none yet: 64 random characters, readable by control alone."""
    owner = (config.control_uid, config.control_uid) if os.geteuid() == 0 else None
    files.directory(config.secret_file.parent, mode=0o700, owner=owner)
    if not config.secret_file.exists():
        files.replace(config.secret_file, secrets.token_urlsafe(48), mode=0o600, owner=owner)


def read_secret(config: Config) -> str:
    """The secret. Raises MachineError when there is none or it may not be read."""
    try:
        return config.secret_file.read_text(encoding="utf-8")
    except OSError as error:
        raise MachineError(
            problem=f"The installation's secret {config.secret_file} can't be read: {error.strerror}.",
            remedy="Run `hereabouts up` once as root; it makes what is missing.",
        ) from error
