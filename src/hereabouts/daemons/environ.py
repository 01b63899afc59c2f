"""The settings in force as an environment, and Django set up from it."""

from __future__ import annotations

import os

from hereabouts.config import FIELDS, PREFIX, Config

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
