"""Django's settings for the type checker, which has no installation to read a secret from."""

import os
from pathlib import Path

os.environ["HEREABOUTS_DATA_DIR"] = str(Path(".mypy_cache/installation").absolute())

from hereabouts.config import load
from hereabouts.control.secret import ensure_secret

ensure_secret(load())

from hereabouts.control.settings import *  # noqa: F403
