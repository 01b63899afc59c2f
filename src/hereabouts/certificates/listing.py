"""The certificates that are files and have no row: the operator's own, and those that the local authority signed."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from cryptography import x509

from hereabouts.certificates import local
from hereabouts.config import Config
from hereabouts.core import pem
from hereabouts.core.certificate import Details, Listed, ends_soon, file_name, span

_DAY = 86_400.0
_LOCAL_ENDS_SOON = 7 * _DAY
"""They are renewed a month before their end, so that one that came so near was forgotten."""


def of_files(config: Config, now: float) -> list[Listed]:
    """Both kinds. Root alone can read them."""
    return _wildcard(config, now) + _local(config, now)


def _wildcard(config: Config, now: float) -> list[Listed]:
    """The operator's own, as the supervisor took it over."""
    if not config.wildcard_certificate:
        return []
    name = f"*.{config.domain}"
    held = _read(config.certificates / "own" / file_name(f"_.{config.domain}"))
    place = f"Put a new one into {config.wildcard_certificate}."
    if held is None:
        unused = f"The certificate for {name} is not in use: see the supervisor's log. {place}"
        return [Listed(name, "wildcard", "–", None, "not in use", unused)]
    ends = held.not_after - now < ends_soon(held)
    warning = f"The certificate for {name} {_end(held, now)}. {place}" if ends else None
    return [Listed(name, "wildcard", held.issuer, held.not_after, "the operator puts a new one into its file", warning)]


def _local(config: Config, now: float) -> list[Listed]:
    """Those that the local authority signed."""
    found = []
    for path in sorted(local.certificate_file(config, "name").parent.glob("*.pem")):
        held = _read(path)
        if held is None:
            continue  # gone meanwhile, or damaged: the next start of its website makes another
        ends = held.not_after - now < _LOCAL_ENDS_SOON
        warning = f"The certificate of {held.subject} {_end(held, now)}. Restart the platform." if ends else None
        name = held.subject or path.stem
        found.append(Listed(name, "local", held.issuer, held.not_after, "by the local authority", warning))
    return found


def _end(held: Details, now: float) -> str:
    left = held.not_after - now
    return f"ends in {span(left)}" if left > 0 else "has ended"


def _read(path: Path) -> Details | None:
    """What the certificate in a file says; None for no file, or none that can be read."""
    try:
        now = path.stat()
        return _details(path, now.st_ino, now.st_mtime_ns)
    except (FileNotFoundError, ValueError):
        return None


@lru_cache(maxsize=8192)
def _details(path: Path, inode: int, changed: int) -> Details:
    """The same for as long as the file is: to parse a thousand of them takes longer than a page may."""
    return pem.details(x509.load_pem_x509_certificate(path.read_bytes()))
