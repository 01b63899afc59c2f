"""Django's settings for the type checker, which has no installation to read a secret from."""

import os
import tempfile

_place = tempfile.TemporaryDirectory(prefix="hereabouts-types-")  # removed at the end
os.environ["HEREABOUTS_DATA_DIR"] = _place.name

from hereabouts.config import load
from hereabouts.control.secret import ensure_secret

ensure_secret(load())

from hereabouts.control.settings import *  # noqa: F403
