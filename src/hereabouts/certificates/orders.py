"""Orders under way, on disk: a process that is killed between any two steps goes on with the same order.

One file for each name holds the key of the certificate to be and the order's address. It is written before the step
that needs it, so that no answer of the authority is ever lost for want of its key.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from hereabouts import files
from hereabouts.core.certificate import file_name


@dataclass(frozen=True, slots=True)
class Order:
    """What must survive: whose certificate, by which authority, its private key (PEM), the order once it is made."""

    name: str
    directory: str
    key: str
    url: str | None = None


class Orders:
    """The orders in one directory, which only this platform's unprivileged user enters."""

    def __init__(self, directory: Path) -> None:
        self._directory = files.directory(directory, mode=0o700)

    def find(self, name: str) -> Order | None:
        """The order under way for a name; None where there is none that can be read."""
        return _read(self._path(name))

    def keep(self, order: Order) -> None:
        """Write it down, in place of the name's former one."""
        files.replace(self._path(order.name), json.dumps(asdict(order)), mode=0o600)

    def forget(self, name: str) -> None:
        """The name has no order any more."""
        self._path(name).unlink(missing_ok=True)

    def names(self) -> set[str]:
        """The names that have one; what is left of a write that was cut off is removed."""
        found = set()
        for path in self._directory.iterdir():
            order = _read(path)
            if order is None or path != self._path(order.name):
                path.unlink(missing_ok=True)
            else:
                found.add(order.name)
        return found

    def _path(self, name: str) -> Path:
        return self._directory / Path(file_name(name)).with_suffix(".json").name


def _read(path: Path) -> Order | None:
    try:
        return Order(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
