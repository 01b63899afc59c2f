"""The OCI ``config.json`` of a sandbox: a pure function of the account, the command and the settings.

The format: https://github.com/opencontainers/runtime-spec/blob/main/config.md
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hereabouts.config import Config
from hereabouts.core.webapp import Account, Website, expand_command, sandbox_token, socket_path

Json = dict[str, Any]

MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/proc/interrupts", "/sys/firmware",
    "/sys/devices/virtual/powercap",
)  # fmt: skip
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
PATH = "{home}/.local/bin:/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Process:
    """What runs in a sandbox: arguments, extra environment, and whether a terminal is attached."""

    args: Sequence[str]
    environment: Mapping[str, str]
    terminal: bool = False


def site_process(website: Website) -> Process:
    """The website's command under Bash, which gives its place to the last simple command of a line.

    So the server is process 1 where it can be, and every form that needs a shell works.
    """
    return Process(
        ("/bin/bash", "-c", expand_command(website)),
        {"DOMAIN_SOCKET": socket_path(website), "FORWARDED_ALLOW_IPS": "*", "PYTHONUNBUFFERED": "1"},
    )


def environment(config: Config, account: Account, secret: bytes) -> dict[str, str]:
    """What every process of an account finds in its environment."""
    home = f"/home/{account.name}"
    return {
        "HOME": home,
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": "/bin/bash",
        "PATH": PATH.format(home=home),
        "LANG": "C.UTF-8",
        "WORKON_HOME": f"{home}/.virtualenvs",
        "PYTHONANYWHERE_SITE": config.sandbox_site,
        "PYTHONANYWHERE_DOMAIN": config.domain,
        "PYTHONANYWHERE_USERNAME": account.name,
        "API_TOKEN": sandbox_token(secret, account),
        "REQUESTS_CA_BUNDLE": "/etc/hereabouts/ca-bundle.pem",
        "SSL_CERT_FILE": "/etc/hereabouts/ca-bundle.pem",
    }


def sandbox_config(
    config: Config,
    account: Account,
    process: Process,
    *,
    name: str,
    secret: bytes,
    rootfs: Path,
    etc: Path,
    namespace: str,
    sockets: tuple[Path, str] | None,
    seccomp: Json | None,
) -> Json:
    """The whole configuration.

    ``name`` is the sandbox's id; ``etc`` holds its /etc; ``namespace`` is the path of its network namespace;
    ``sockets`` the directory on this machine where its server binds and the directory's name inside.
    """
    variables = environment(config, account, secret) | dict(process.environment)
    if process.terminal:
        variables["TERM"] = variables.get("TERM", "xterm-256color")
    return {
        "ociVersion": "1.0.2",
        "hostname": account.name,
        "root": {"path": str(rootfs), "readonly": True},
        "process": {
            "terminal": process.terminal,
            "user": {"uid": account.uid, "gid": account.uid, "umask": 0o022},
            "args": list(process.args),
            "env": [f"{key}={value}" for key, value in variables.items()],
            "cwd": f"/home/{account.name}",
            "capabilities": {kind: [] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")},
            "rlimits": _rlimits(config),
            "noNewPrivileges": True,
            "oomScoreAdj": 200,
        },
        "mounts": _mounts(config, account, etc, sockets),
        "linux": {
            "cgroupsPath": f"/hereabouts-{config.tag}/{name}",
            "namespaces": [
                *({"type": kind} for kind in ("pid", "mount", "ipc", "uts", "cgroup")),
                {"type": "network", "path": namespace},
            ],
            "resources": _resources(config),
            "maskedPaths": list(MASKED),
            "readonlyPaths": list(READ_ONLY),
            **({"seccomp": seccomp} if seccomp else {}),
        },
    }


def _rlimits(config: Config) -> list[Json]:
    limits = {
        "RLIMIT_NOFILE": config.open_files,
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": config.file_mb << 20,
        "RLIMIT_MEMLOCK": 64 << 10,
    }
    return [{"type": name, "hard": value, "soft": value} for name, value in limits.items()]


def _resources(config: Config) -> Json:
    memory = config.memory_mb << 20
    return {
        "memory": {"limit": memory, "swap": memory},
        "cpu": {"quota": config.cpu_percent * 1000, "period": 100_000, "shares": 1024},
        "pids": {"limit": config.processes},
        "devices": [{"allow": False, "access": "rwm"}],
    }


def _bind(source: str | Path, destination: str, *options: str) -> Json:
    return {
        "destination": destination, "type": "bind", "source": str(source),
        "options": ["bind", "nosuid", "nodev", *options],
    }  # fmt: skip


def _tmpfs(destination: str, size_kb: int, mode: str, *options: str) -> Json:
    return {
        "destination": destination, "type": "tmpfs", "source": "tmpfs",
        "options": ["nosuid", "nodev", f"mode={mode}", f"size={size_kb}k", *options],
    }  # fmt: skip


def _mounts(config: Config, account: Account, etc: Path, sockets: tuple[Path, str] | None) -> list[Json]:
    home = f"/home/{account.name}"
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "noexec", "strictatime", "mode=755", "size=64k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
        _tmpfs("/dev/shm", 65_536, "1777", "noexec"),
        {"destination": "/sys", "type": "sysfs", "source": "sysfs",
         "options": ["nosuid", "noexec", "nodev", "ro"]},
        _bind("/usr", "/usr", "rbind", "ro"),
        _bind(etc, "/etc", "rbind", "ro"),
        _bind("/etc/ssl", "/etc/ssl", "ro"),
        _bind("/etc/alternatives", "/etc/alternatives", "ro"),
        _tmpfs("/home", 64, "755"),
        _bind(config.homes / account.name, home),
        _tmpfs("/tmp", config.tmp_mb << 10, "1777"),
        _tmpfs("/run", 64, "755"),
        _bind(config.logs / account.name, "/var/log", "ro", "noexec"),
    ]  # fmt: skip
    if sockets:
        mounts.append(_tmpfs("/var/sockets", 64, "755"))
        mounts.append(_bind(sockets[0], sockets[1], "noexec"))
    return mounts


_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "s390x": "s390x",
    "ppc64le": "ppc64le",
}
_SECCOMP_NAMES = {"amd64": "SCMP_ARCH_X86_64", "arm64": "SCMP_ARCH_AARCH64"}


def seccomp_profile(profile: Json, machine: str = platform.machine()) -> Json:
    """The containers' common seccomp profile as the runtime reads it, for a process without capabilities.

    The machine's own architecture only, so programs for another one (32 bits, x32) are ended: the filter of each
    costs every start 10 ms, and the kernel's compatible system calls are attacked more than used.
    The file's rules name the architectures and capabilities that they are for; those are resolved here:
    https://github.com/containers/common/blob/main/pkg/seccomp/seccomp.json
    """
    architecture = _ARCHITECTURES.get(machine, machine)
    native = _SECCOMP_NAMES.get(architecture)
    rules = []
    for rule in profile["syscalls"]:
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        if includes.get("caps") or (includes.get("arches") and architecture not in includes["arches"]):
            continue
        if architecture in (excludes.get("arches") or ()):
            continue
        rules.append({key: rule[key] for key in ("names", "action", "args", "errnoRet") if rule.get(key)})
    result: Json = {"defaultAction": profile["defaultAction"], "syscalls": rules}
    if profile.get("defaultErrnoRet") is not None:
        result["defaultErrnoRet"] = profile["defaultErrnoRet"]
    if native:
        result["architectures"] = [native]
    return result
