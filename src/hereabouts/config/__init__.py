"""One frozen Config: every path, limit and time, from ``hereabouts.toml`` and the environment.

The environment (``HEREABOUTS_DOMAIN=…``) wins over the file, the file over the default. A wrong setting stops
start-up with a sentence that says which, what was found and what would do.
"""

from hereabouts.config.reading import FILE_NAME, PREFIX, load
from hereabouts.config.settings import FIELDS, Config

__all__ = ["FIELDS", "FILE_NAME", "PREFIX", "Config", "load"]
