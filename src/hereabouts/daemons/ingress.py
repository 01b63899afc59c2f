"""The ingress: nginx's static configuration, filled in from the settings."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import signal
import subprocess
from pathlib import Path

import hereabouts
from hereabouts import files
from hereabouts.config import Config
from hereabouts.daemons import processes, record
from hereabouts.errors import MachineError
from hereabouts.sandbox.homes import nginx_ids

_MODULES = (
    Path("/usr/lib/nginx/modules"),
    Path("/usr/lib64/nginx/modules"),
    Path("/usr/share/nginx/modules"),
)
_PLACE = re.compile(r"\{\{(\w+)\}\}")


def sources() -> Path:
    """The directory of the configuration's template, the Lua files and the pages."""
    return Path(hereabouts.__file__).parents[2] / "ingress"


def modules() -> Path:
    """Where nginx's dynamic modules are. Raises MachineError when the Lua module is not installed."""
    for path in _MODULES:
        if (path / "ngx_http_lua_module.so").exists():
            return path
    raise MachineError(
        problem="nginx's Lua module is not installed.", remedy="Run `apt install libnginx-mod-http-lua`."
    )


def prepare(config: Config) -> list[str]:
    """Write nginx.conf and the directories it names; returns the command that runs nginx in the foreground.

    Raises MachineError with nginx's own words when it refuses the configuration.
    """
    workers = nginx_ids(config)
    directory = files.directory(config.run_dir / "ingress", mode=0o750, owner=(0, workers[1]))
    files.directory(config.sockets, mode=0o711)
    files.directory(config.published, mode=0o750, owner=(0, workers[1]))
    files.replace_link(config.live, str(config.published))
    files.directory(config.logs / "platform", mode=0o750, owner=(0, workers[1]))
    program = _copy_sources(directory)
    target = directory / "nginx.conf"
    files.replace(target, render(config, program))
    command = [config.nginx, "-c", str(target), "-e", str(config.platform_log("nginx"))]
    sockets = [path for path in _sockets(config) if not path.exists()]
    tested = subprocess.run([*command, "-t", "-q"], capture_output=True, text=True, check=False)
    for path in sockets:  # a test makes them, too
        path.unlink(missing_ok=True)
    if tested.returncode:
        raise MachineError(
            problem=f"nginx refuses its configuration: {'; '.join(tested.stderr.splitlines())[-500:]}.",
            remedy="`hereabouts doctor` checks nginx and its Lua module.",
        )
    return command


def _sockets(config: Config) -> tuple[Path, ...]:
    """Where nginx listens for itself and the supervisor."""
    return config.hold_socket, config.gate_socket, config.metrics_socket


def _copy_sources(directory: Path) -> Path:
    """Copy the Lua files and the pages, so that nginx's restarts find them as this configuration needs them."""
    program = files.directory(directory / "program")
    for source in sources().rglob("*"):
        target = program / source.relative_to(sources())
        if source.is_dir():
            files.directory(target)
        else:
            files.replace(target, source.read_bytes())
    return program


def before_start(config: Config) -> None:
    """Clear the way for a new nginx, and note what it will read."""
    for path in _sockets(config):
        path.unlink(missing_ok=True)
    is_outdated(config)


def is_outdated(config: Config) -> bool:
    """Whether what is written now differs from what nginx was last told to read; from now on it counts as read."""
    directory = config.run_dir / "ingress"
    written = [directory / "nginx.conf", *sorted(path for path in (directory / "program").rglob("*") if path.is_file())]
    digest = hashlib.sha256()
    for path in written:
        digest.update(path.read_bytes())
    noted = directory / "applied"
    outdated = not noted.exists() or noted.read_text(encoding="utf-8") != digest.hexdigest()
    files.replace(noted, digest.hexdigest())
    return outdated


def run(config: Config) -> None:
    """Become nginx, with the configuration of these settings. Does not return."""
    command = prepare(config)
    before_start(config)
    os.execvp(command[0], command)


def renew(config: Config) -> None:
    """Have the nginx that systemd runs read the configuration of these settings; visitors notice nothing.

    Raises MachineError where nginx refuses it: the one that runs is told nothing then.
    """
    prepare(config)
    running = record.units(config).get("nginx")
    if running and is_outdated(config):
        processes.send(running, signal.SIGHUP)


def render(config: Config, program: Path) -> str:
    """nginx.conf for these settings; ``program`` is where the Lua files and the pages are."""
    from hereabouts.certificates import local

    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if open_files == resource.RLIM_INFINITY:
        open_files = 1 << 20
    values = {
        "nginx_user": config.nginx_user,
        "open_files": open_files,
        "connections": max(512, min(16_384, open_files // 2)),
        "drain_seconds": max(1, round(config.drain_seconds)),
        "run_dir": config.run_dir,
        "logs": config.logs,
        "modules": modules(),
        "body_mb": config.body_mb,
        "ingress": program,
        "hold_socket": config.hold_socket,
        "gate_socket": config.gate_socket,
        "metrics_socket": config.metrics_socket,
        "supervisor_socket": config.supervisor_socket,
        "control_socket": config.control_socket,
        "hold_seconds": f"{config.hold_seconds:g}",
        "response_seconds": config.response_seconds,
        "certificates": config.certificates,
        "challenges": config.challenges,
        "http_port": config.http_port,
        "https_port": config.https_port,
        "domain": config.domain,
        "host": config.host,
        "default_certificate": local.certificate_file(config, config.host),
        "listen": listen(config, default=True),
        "listen_plain": listen(config, default=False),
        "platform_hosts": " ".join(sorted(config.platform_hosts)),
    }
    template = (sources() / "nginx.conf").read_text(encoding="utf-8")
    return _PLACE.sub(lambda found: str(values[found[1]]), template)


def listen(config: Config, *, default: bool) -> str:
    """The ``listen`` lines: every address that visitors use, and this machine's address towards sandboxes."""
    from hereabouts.sandbox.network import gateway

    addresses = list(config.listen)
    if "0.0.0.0" not in addresses:
        addresses.append(str(gateway(config)))
    server = " default_server backlog=4096" if default else ""
    lines = []
    for address in addresses:
        lines.append(f"listen {address}:{config.http_port}{server};")
        lines.append(f"listen {address}:{config.https_port} ssl{' http2' if _old_http2(config) else ''}{server};")
    if not _old_http2(config):
        lines.append("http2 on;")
    return "\n        ".join(lines)


def _old_http2(config: Config) -> bool:
    """Whether this nginx (before 1.25.1) wants http2 as a word of ``listen``."""
    found = subprocess.run([config.nginx, "-v"], capture_output=True, text=True, check=False).stderr
    version = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", found)
    return version is None or tuple(map(int, version.groups())) < (1, 25, 1)
