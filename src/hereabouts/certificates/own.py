"""The certificates that visitors see before those of the local authority: from an authority, uploaded, the operator's.

Each is one file, ``own/{name}.pem``, key and chain, that nginx's Lua reads by itself (ingress/certificate.lua). They
come from ``config.offered``, where the platform's unprivileged processes put them; root looks at each before nginx
gets it. The operator's wildcard certificate is ``own/_.{sites domain}.pem`` and, where it is for the sites domain
itself, too, ``own/_{sites domain}.pem``.
"""

from __future__ import annotations

import logging
import os
import re
import ssl
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from hereabouts import files
from hereabouts.certificates import listing, local
from hereabouts.config import Config
from hereabouts.core.certificate import Certificate, Kind, Listed, file_name
from hereabouts.errors import CertificateRefused
from hereabouts.sandbox.homes import nginx_ids

_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9][a-z0-9.-]*\Z")
_MOST_BYTES = 256 << 10
_DAY_SECONDS = 86_400.0
_SETTLED_SECONDS = 60.0
"""What is younger is left alone when the remains of former names are removed: its row may be on its way."""

log = logging.getLogger("hereabouts.certificates")


class Certificates:
    """What the supervisor does about certificates. Methods block, and are safe from any thread."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._wildcard: object = None
        self._next_round = 0.0

    def prepare(self, name: str) -> None:
        """See to the local authority's certificate; without one, visitors are still served over HTTP."""
        with _told(name):
            local.ensure_certificate(self._config, name)

    def forget(self, name: str) -> None:
        """Remove every certificate of a name that nobody has any more."""
        local.forget(self._config, name)
        self.withdraw(name)

    def install(self, name: str) -> None:
        """Show the certificate that was offered for a name from now on. Raises CertificateRefused."""
        if not _NAME.match(name):
            raise CertificateRefused(name=repr(name), problem="that is no host name.")
        with _offered(self._config) as directory:
            content = _take(directory, name, self._config.control_uid)
            problem = _unfit(content)
            if problem is None:
                self._write(name, content)
            os.unlink(file_name(name), dir_fd=directory)
        if problem:
            raise CertificateRefused(name=name, problem=problem)

    def withdraw(self, name: str) -> None:
        """Show the local authority's certificate again, where there is one."""
        if _NAME.match(name):
            self._path(name).unlink(missing_ok=True)

    def take_over(self, names: Collection[str], certified: Collection[Certificate]) -> None:
        """Install what was offered while nobody listened for names that have a row; remove what is of no name."""
        known = {file_name(each.name): each.name for each in certified}
        with _logged(), _offered(self._config) as directory:
            for file in os.listdir(directory):  # noqa: PTH208 (a descriptor)
                if file in known:
                    with _logged():
                        self.install(known[file])
                elif _is_old(os.stat(file, dir_fd=directory, follow_symlinks=False)):
                    os.unlink(file, dir_fd=directory)
        self.sweep(names, certified)

    def sweep(self, names: Collection[str], certified: Collection[Certificate]) -> None:
        """Remove the files of names that nobody has any more, and tell which uploaded ones are lost."""
        known = {file_name(each.name) for each in certified}
        _keep_only(self._path("x").parent, {*known, *map(file_name, self._wildcard_names)})
        _keep_only(local.certificate_file(self._config, "x").parent, set(map(file_name, {*names, self._config.host})))
        for each in certified:
            if each.kind is Kind.UPLOADED and not self._path(each.name).exists():
                log.error(
                    "The certificate that was uploaded for %s is lost. Its owner has to upload it again.", each.name
                )

    def listed(self) -> list[Listed]:
        """The operator's own, and those of the local authority, as the operator sees them in a list."""
        return listing.of_files(self._config, time.time())

    def look(self, names: Collection[str]) -> None:
        """Take the operator's wildcard certificate over where it is new or has changed.

        Once a day, also see to the local authority's certificates for all ``names`` that websites have.
        """
        self._take_wildcard()
        if time.monotonic() < self._next_round:
            return
        self._next_round = time.monotonic() + _DAY_SECONDS
        with _told(self._config.host):
            local.ensure_platform_certificate(self._config)
        for name in names:
            with _told(name):
                if local.is_due(self._config, name):
                    local.ensure_certificate(self._config, name)

    def _take_wildcard(self) -> None:
        given = (self._config.wildcard_key, self._config.wildcard_certificate)
        if not all(given):
            for name in self._wildcard_names:
                self._path(name).unlink(missing_ok=True)
            return
        try:
            found: object = [(file.st_mtime_ns, file.st_size, file.st_ino) for file in map(os.stat, given)]
            content = b"" if found == self._wildcard else b"\n".join(Path(path).read_bytes() for path in given)
            problem = None if found == self._wildcard else _unfit(content) or _is_for_others(content, self._config)
        except OSError as error:
            found = problem = f"{error.filename}: {error.strerror}."
        if found == self._wildcard:
            return
        self._wildcard = found
        if problem:
            log.error("The certificate for *.%s is refused, the one before stays: %s", self._config.domain, problem)
            return
        for name, holds in zip(self._wildcard_names, (True, self._config.domain in _names(content)), strict=True):
            if holds:
                self._write(name, content)
            else:
                self._path(name).unlink(missing_ok=True)
        log.info("The certificate for *.%s is in use: %s.", self._config.domain, given[1])

    @property
    def _wildcard_names(self) -> tuple[str, str]:
        """What it is kept as for the names under the sites domain, and for that itself: no host's names."""
        return f"_.{self._config.domain}", f"_{self._config.domain}"

    def _path(self, name: str) -> Path:
        return self._config.certificates / "own" / file_name(name)

    def _write(self, name: str, content: bytes) -> None:
        path = self._path(name)
        files.directory(path.parent, mode=0o711)
        owner = nginx_ids(self._config) if os.geteuid() == 0 else None
        files.replace(path, content, mode=0o600, owner=owner)


@contextmanager
def _offered(config: Config) -> Iterator[int]:
    """The directory of offers, open: its owner is not root, and could put a link to another in its place."""
    try:
        directory = os.open(config.offered, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise CertificateRefused(name="an unknown name", problem=f"{config.offered}: {error.strerror}.") from error
    try:
        yield directory
    finally:
        os.close(directory)


def _take(directory: int, name: str, uid: int) -> bytes:
    """What was offered for a name: only a file that control's user made is read, and no link is followed."""
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(file_name(name), flags, dir_fd=directory)
    except OSError as error:
        raise CertificateRefused(name=name, problem=f"none was offered ({error.strerror}).") from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != uid:
            raise CertificateRefused(name=name, problem="what was offered is no file of the platform's user.")
        return file.read(_MOST_BYTES + 1)


def _unfit(content: bytes) -> str | None:
    """Why the key and the chain won't do for TLS in the words of OpenSSL, which nginx uses, too; None if they do."""
    if len(content) > _MOST_BYTES:
        return f"it is longer than {_MOST_BYTES >> 10} KiB."
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=lambda: "")
    except ssl.SSLError as error:
        return f"{(error.reason or 'it holds no key and certificate').lower().replace('_', ' ')}."
    except (OSError, ValueError) as error:
        return f"{error}."
    finally:
        os.close(descriptor)
    return None


def _is_for_others(content: bytes, config: Config) -> str | None:
    """Why a certificate won't do for every name directly under the sites domain; None if it does."""
    names = _names(content)
    if f"*.{config.domain}" not in names:
        return f"it is not for *.{config.domain} but for {', '.join(names) or 'no name'}."
    certificate = x509.load_pem_x509_certificate(content)
    if certificate.not_valid_after_utc < datetime.now(UTC):
        return f"it ended on {certificate.not_valid_after_utc:%Y-%m-%d}."
    return None


def _names(content: bytes) -> list[str]:
    certificate = x509.load_pem_x509_certificate(content)
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return found.get_values_for_type(x509.DNSName)


def _keep_only(directory: Path, names: Collection[str]) -> None:
    with suppress(FileNotFoundError):
        for path in directory.iterdir():
            if path.name not in names and _is_old(path.stat()):
                path.unlink(missing_ok=True)


def _is_old(found: os.stat_result) -> bool:
    return time.time() - found.st_mtime > _SETTLED_SECONDS


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Whatever is wrong with one name is told, and is no other's trouble."""
    try:
        yield
    except Exception:
        log.exception("No certificate for %s could be made.", name)


@contextmanager
def _logged() -> Iterator[None]:
    try:
        yield
    except CertificateRefused as error:
        log.error("%s", error)
