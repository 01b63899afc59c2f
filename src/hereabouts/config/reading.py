"""Settings from ``hereabouts.toml`` and the environment, each parsed once; what is wrong is a SettingError."""

from __future__ import annotations

import difflib
import hashlib
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hereabouts.config import rules
from hereabouts.config.settings import FIELDS, Config
from hereabouts.errors import SettingError

FILE_NAME = "hereabouts.toml"
PREFIX = "HEREABOUTS_"


def load(environ: Mapping[str, str] | None = None, directory: Path | None = None) -> Config:
    """Read the settings. ``HEREABOUTS_CONFIG`` names the file; default is hereabouts.toml in ``directory``.

    Relative paths are relative to the file's directory. Raises SettingError.
    """
    environ = os.environ if environ is None else environ
    directory = (directory or Path.cwd()).absolute()
    file = Path(environ.get(PREFIX + "CONFIG", "") or directory / FILE_NAME)
    from_file = _read_file(file, must_exist=bool(environ.get(PREFIX + "CONFIG")))
    from_environ = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX) and name != PREFIX + "CONFIG"
    }
    base = file.absolute().parent
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for settings, source in ((from_file, str(file)), (from_environ, "environment")):
        for name, found in settings.items():
            shown = f"{PREFIX}{name.upper()}" if source == "environment" else name
            values[name] = _parse(name, shown, found, source)
            sources[name] = source
    return _complete(values, sources, base)


def _read_file(file: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if must_exist:
            raise SettingError(
                name="HEREABOUTS_CONFIG",
                source="environment",
                problem=f"there is no file {file}.",
                remedy="Name an existing file, or unset it.",
            ) from None
        return {}
    except OSError as error:
        raise SettingError(
            name="(file)",
            source=file,
            problem=f"the file can't be read: {error.strerror}.",
            remedy="Make it a file that this user may read.",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(
            name="(file)",
            source=file,
            problem=f"the file is not valid TOML: {error}.",
            remedy="Write settings as name = value, strings in double quotes.",
        ) from None


def _parse(name: str, shown: str, found: object, source: str) -> object:
    field = next((field for field in FIELDS if field.name == name), None)
    if field is None:
        close = difflib.get_close_matches(name, [field.name for field in FIELDS], n=1)
        meant = close[0] if close and shown == name else PREFIX + close[0].upper() if close else ""
        remedy = f"Did you mean {meant}?" if meant else "`hereabouts config` lists the settings."
        raise SettingError(name=shown, source=source, problem="there is no such setting.", remedy=remedy)
    try:
        value = _PARSERS[str(field.type)](found)
    except (ValueError, TypeError, KeyError):
        kind = _KINDS[str(field.type)]
        raise SettingError(
            name=shown,
            source=source,
            problem=f"{found!r} is not {kind}.",
            remedy=f"It is: {field.metadata['meaning']}.",
        ) from None
    low, high = field.metadata["low"], field.metadata["high"]
    if low is not None and not low <= value <= high:
        raise SettingError(
            name=shown,
            source=source,
            problem=f"{found!r} is out of range.",
            remedy=f"Give a number from {low:.10g} to {high:.10g}.",
        )
    return value


def _integer(found: object) -> int:
    if isinstance(found, bool) or not isinstance(found, int | str):
        raise TypeError
    return int(found)


def _number(found: object) -> float:
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        raise TypeError
    return float(found)


def _text(found: object) -> str:
    if not isinstance(found, str) or "\0" in found or "\n" in found:
        raise TypeError
    return found.strip()


def _texts(found: object) -> tuple[str, ...]:
    if isinstance(found, str):
        found = [part for part in found.replace(",", " ").split() if part]
    if not isinstance(found, list):
        raise TypeError
    return tuple(_text(part) for part in found)


def _flag(found: object) -> bool:
    if isinstance(found, bool):
        return found
    if not isinstance(found, str):
        raise TypeError
    return {"true": True, "false": False}[found.strip().lower()]


_PARSERS: dict[str, Callable[[object], Any]] = {
    "str": _text,
    "bool": _flag,
    "int": _integer,
    "float": _number,
    "Path": lambda found: Path(_text(found)),
    "tuple[str, ...]": _texts,
}
_KINDS = {
    "str": "a text",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "Path": "a path",
    "tuple[str, ...]": "a list of texts",
}


def _complete(values: dict[str, Any], sources: dict[str, str], base: Path) -> Config:
    data_dir = base / Path(values.get("data_dir", "var"))
    values["data_dir"] = Path(os.path.normpath(data_dir))
    run_dir = values.get("run_dir", Path())
    if run_dir == Path():
        digest = hashlib.sha256(str(values["data_dir"]).encode()).hexdigest()[:8]
        run_dir = Path("/run/hereabouts") / digest
    values["run_dir"] = Path(os.path.normpath(base / run_dir))
    for name in ("wildcard_certificate", "wildcard_key", "acme_trust", "acme_eab_key_file"):
        if values.get(name):
            values[name] = os.path.normpath(base / values[name])
    for name in ("domain", "api_host"):
        if name in values:
            values[name] = values[name].lower().rstrip(".")
    values["reserved_domains"] = tuple(name.lower().rstrip(".") for name in values.get("reserved_domains", ()))
    config = Config(**values, sources=sources)
    rules.check(config)
    return config
