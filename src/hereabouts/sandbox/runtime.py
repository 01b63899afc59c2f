"""The OCI runtime through its command line, which runc, crun and runsc share."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hereabouts.config import Config
from hereabouts.errors import SandboxError
from hereabouts.sandbox.oci import seccomp_profile

_CGROUPS = Path("/sys/fs/cgroup")
_SECCOMP = (Path("/usr/share/containers/seccomp.json"), Path("/etc/containers/seccomp.json"))


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox that the runtime knows: its status (``running``, ``stopped`` …) and process 1's pid here."""

    status: str
    pid: int


def command(config: Config, *words: str, log: Path | None = None) -> list[str]:
    """The runtime's command line for a subcommand and its arguments."""
    logging = ["--log", str(log), "--log-format", "json"] if log else []
    return [config.oci_runtime, "--root", str(config.run_dir / "oci"), *logging, *words]


def seccomp() -> dict[str, Any] | None:
    """The system call filter of the distribution's containers, None where it is not installed."""
    for path in _SECCOMP:
        if path.exists():
            return seccomp_profile(json.loads(path.read_text(encoding="utf-8")))
    return None


def start(config: Config, name: str, bundle: Path, output: IO[bytes], errors: IO[bytes]) -> int:
    """Start the sandbox described in ``bundle``, detached; its process 1 writes to the given files.

    Returns process 1's id. Raises SandboxError with what the runtime said.
    """
    log, pid_file = bundle / "runtime.log", bundle / "pid"
    words = ("run", "--detach", "--bundle", str(bundle), "--pid-file", str(pid_file), name)
    try:
        done = subprocess.run(
            command(config, *words, log=log),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            check=False,
        )
    except OSError as error:
        raise SandboxError(doing="started", problem=f"{config.oci_runtime}: {error.strerror}.") from error
    if done.returncode:
        raise SandboxError(doing="started", problem=last_words(log))
    return int(pid_file.read_text())


def last_words(log: Path) -> str:
    """The last message in the runtime's log."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "the runtime said nothing."
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("level") in ("error", "fatal"):
            return str(entry.get("msg", ""))[:500]
    return "the runtime said nothing."


def state(config: Config, name: str) -> Running | None:
    """What the runtime says of a sandbox (it knows its process by start time, not by number alone).

    None when it knows none of that name. Raises SandboxError when it could not tell.
    """
    try:
        done = subprocess.run(command(config, "state", name), capture_output=True, text=True, check=False)
        if done.returncode == 0:
            found = json.loads(done.stdout)
            return Running(found["status"], int(found.get("pid", 0)))
        problem = done.stderr.strip()[-500:] or f"{config.oci_runtime} ended with {done.returncode}."
    except (OSError, ValueError, KeyError) as error:
        problem = f"{config.oci_runtime}: {error}."
    if "does not exist" in problem or not (config.run_dir / "oci" / name).exists():
        return None
    raise SandboxError(doing="looked up", problem=problem)


def known(config: Config) -> list[str]:
    """The names of all sandboxes that the runtime keeps a record of."""
    try:
        return os.listdir(config.run_dir / "oci")  # noqa: PTH208 (names are all that is wanted)
    except FileNotFoundError:
        return []


def delete(config: Config, name: str) -> None:
    """Remove the sandbox, killing what still runs in it. One that is not there is passed over."""
    subprocess.run(command(config, "delete", "--force", name), capture_output=True, check=False)


def remove_groups(config: Config) -> None:
    """Remove the control groups that held all sandboxes, which the runtime leaves behind; not while one runs there."""
    for place in (_CGROUPS, *_CGROUPS.glob("*/")):  # one for all controllers, or one for each
        with suppress(OSError):
            (place / f"hereabouts-{config.tag}").rmdir()


def owns(config: Config, name: str, pid: int) -> bool:
    """Whether this process lives in this sandbox's control group."""
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    except OSError:
        return False
    return f"/hereabouts-{config.tag}/{name}" in groups


def write_bundle(bundle: Path, content: dict[str, Any]) -> None:
    """Write the sandbox's ``config.json`` (0600: it holds the account's token)."""
    descriptor = os.open(bundle / "config.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)
