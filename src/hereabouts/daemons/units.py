"""systemd units for a machine that hosts for good: each process of the platform on its own, restarted alone."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from hereabouts import files
from hereabouts.config import Config
from hereabouts.daemons.environ import environment
from hereabouts.errors import MachineError

DIRECTORY = Path("/etc/systemd/system")
TARGET = "hereabouts.target"

_TARGET = """\
[Unit]
Description=Hereabouts: websites, their API and their ingress
Wants=hereabouts-supervisor.service hereabouts-control.service hereabouts-nginx.service \
  hereabouts-certificates.service

[Install]
WantedBy=multi-user.target
"""

# What requires it is stopped and restarted with it: so it is done again by a reload, and never restarted by itself.
# Nothing starts again what requires a unit that failed: so it takes its time where waiting helps.
_PREPARE = """\
[Unit]
Description=Hereabouts: directories, database, certificates and network
After=network-online.target postgresql.service
Wants=network-online.target
RequiresMountsFor={places}
PartOf={target}
RefuseManualStop=yes

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=infinity
EnvironmentFile={environment}
ExecStart={python} -m hereabouts.daemons machine
ExecReload={python} -m hereabouts.daemons machine
"""

_SERVICE = """\
[Unit]
Description=Hereabouts: {description}
Requires=hereabouts-prepare.service
After=hereabouts-prepare.service
PartOf={target}
StartLimitIntervalSec=0

[Service]
EnvironmentFile={environment}
ExecStart={python} -m hereabouts.daemons {name} --unit
StandardOutput=append:{log}
RestartSec=200ms
LimitNOFILE=1048576
{extra}
"""

_SERVICES: Mapping[str, tuple[str, str]] = {
    # Restarting the supervisor leaves the websites running, for the next one to adopt; so does stopping it. At TERM
    # it ends them and itself for good, with exit code 0.
    "supervisor": (
        "the supervisor of the websites",
        "Restart=on-failure\nKillMode=process\nKillSignal=SIGUSR1\nDelegate=yes",
    ),
    "control": ("the API and the dashboard", "Restart=always\nTimeoutStopSec=15"),
    "certificates": ("certificates from an authority", "Restart=always\nTimeoutStopSec=15"),
    "nginx": (
        "the ingress",
        "Restart=always\nKillSignal=SIGQUIT\nKillMode=mixed\nTimeoutStopSec=45\n"
        "ExecReload={python} -m hereabouts.daemons nginx-reload",
    ),
}


def install(config: Config, directory: Path = DIRECTORY) -> list[Path]:
    """Write the units and the settings they run with; returns their paths. Safe to repeat.

    Raises MachineError when the platform's unprivileged processes could not reach the code or the data.
    """
    for path in (Path(sys.prefix), config.data_dir):
        closed = next((part for part in [path, *path.parents] if part.exists() and not part.stat().st_mode & 1), None)
        if closed:
            raise MachineError(
                problem=f"{closed} can be entered by its owner alone, but control and nginx, which are not root, "
                f"must reach {path}.",
                remedy="Install Hereabouts and its data under /opt or /srv.",
            )
    directory.mkdir(parents=True, exist_ok=True)
    settings = directory / "hereabouts.env"
    files.replace(settings, _environment_file(config), mode=0o600)
    written = [settings]
    for name, text in render(config, settings).items():
        files.replace(directory / name, text)
        written.append(directory / name)
    return written


def render(config: Config, settings: Path) -> dict[str, str]:
    """The units by name; ``settings`` is the file with their environment."""
    common = {"target": TARGET, "environment": _plain(settings), "python": _plain(shlex.quote(sys.executable))}
    places = _plain(shlex.join(str(path) for path in (config.data_dir, config.run_dir, Path(sys.prefix))))
    units = {TARGET: _TARGET, "hereabouts-prepare.service": _PREPARE.format(places=places, **common)}
    for name, (description, extra) in _SERVICES.items():
        log = _plain(config.platform_log(name))
        units[f"hereabouts-{name}.service"] = _SERVICE.format(
            name=name, description=description, extra=extra.format(**common), log=log, **common
        )
    return units


def _plain(text: str | Path) -> str:
    """The text where ``%`` begins a specifier (systemd.unit(5))."""
    return str(text).replace("%", "%%")


def _environment_file(config: Config) -> str:
    """The settings in force, each as ``NAME="value"`` (systemd.exec(5), EnvironmentFile)."""
    kept = {name: value for name, value in environment(config).items() if name.startswith(("HEREABOUTS_", "DJANGO_"))}
    quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in kept.items()}
    return "".join(f'{name}="{value}"\n' for name, value in sorted(quoted.items()))
