"""How passwords are hashed: with scrypt, which takes much memory by intention, hence not by many at once."""

from __future__ import annotations

import threading
from typing import Any

from django.contrib.auth.hashers import ScryptPasswordHasher

_AT_ONCE = threading.BoundedSemaphore(4)
"""Each takes 16 MB. Whoever comes meanwhile waits for some tenths of a second."""


class FewAtOnce(ScryptPasswordHasher):
    """Django's own scrypt, a few at a time in this process, however many people sign in."""

    def encode(self, *args: Any, **kwargs: Any) -> str:
        """The hash of a password, as it is stored."""
        with _AT_ONCE:
            return str(super().encode(*args, **kwargs))
