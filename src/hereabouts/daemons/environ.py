"""What a process of the platform runs with: the settings as an environment, Django set up from it, its user."""

from __future__ import annotations

import ctypes
import os

from hereabouts.config import FIELDS, PREFIX, Config

_PR_SET_NO_NEW_PRIVS = 38
_SETTINGS_MODULE = "DJANGO_SETTINGS_MODULE"


def environment(config: Config) -> dict[str, str]:
    """The environment of the platform's processes: the settings in force, whatever directory they run in."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    for field in FIELDS:
        value = getattr(config, field.name)
        environ[PREFIX + field.name.upper()] = " ".join(value) if isinstance(value, tuple) else str(value)
    environ[_SETTINGS_MODULE] = "hereabouts.control.settings"
    environ["PYTHONUNBUFFERED"] = "1"
    return environ


def set_up_django(config: Config) -> None:
    """Make control's models and services usable in this process, with these settings."""
    os.environ.pop(PREFIX + "CONFIG", None)
    os.environ.update(environment(config))
    import django

    django.setup()


def drop_privileges(uid: int) -> None:
    """Become this user for good; what is made from now on is for its owner alone."""
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    os.umask(0o077)
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
