"""What the machine must have. Each check says what it found and, where that won't do, the remedy."""

from __future__ import annotations

import os
import pwd
import resource
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hereabouts.config import Config
from hereabouts.errors import MachineError

_LEAST_FREE_MB = 64
_OPEN_FILES = 16_384
"""Two for each visitor that is served at once, and some: nginx's share of a busy small machine."""
_CGROUPS = Path("/sys/fs/cgroup")
_CONTROLLERS = ("cpu", "memory", "pids")


@dataclass(frozen=True, slots=True)
class Check:
    """One look at the machine. ``remedy`` is what to do when it is not ``ok``."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def essential(config: Config, ours: frozenset[int] = frozenset()) -> None:
    """Raise MachineError for the first check that fails, of those without which nothing can start.

    ``ours`` are processes that will give their ports up.
    """
    for check in (root, nginx, nginx_lua, oci_runtime, packet_filter, users, data_directory, disk):
        require(check(config))
    for result in ports(config, ours):
        require(result)


def require(check: Check) -> None:
    """Raise MachineError when the check failed."""
    if not check.ok:
        raise MachineError(problem=check.found, remedy=check.remedy)


def everything(config: Config, ours: frozenset[int] = frozenset()) -> Iterator[Check]:
    """Every check of ``hereabouts doctor``, in the order in which to mend them."""
    yield root(config)
    yield nginx(config)
    yield nginx_lua(config)
    yield oci_runtime(config)
    filtering = packet_filter(config)
    yield filtering
    if filtering.ok and os.geteuid() == 0:
        yield connection_limit(config)
    yield call_filter(config)
    yield cgroups(config)
    yield users(config)
    yield data_directory(config)
    yield disk(config)
    yield from ports(config, ours)
    yield clock(config)
    yield open_files(config)


def root(config: Config) -> Check:
    """Only root makes sandboxes."""
    if os.geteuid() == 0:
        return Check("root", True, "running as root")
    return Check(
        "root", False, "This needs root: sandboxes, their users and their network are made by root.",
        "Run it with sudo, or `make up`, which does.",
    )  # fmt: skip


def _program(name: str, program: str, setting: str, package: str, version: str) -> Check:
    path = shutil.which(program)
    if path is None:
        return Check(
            name, False, f"The program {program} is not in PATH ({os.environ.get('PATH', '')}).",
            f"Install it: `apt-get install {package}`" + (f", or set `{setting}` to its path." if setting else "."),
        )  # fmt: skip
    try:
        done = subprocess.run([path, version], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name, False, f"{path} does not run: {error}.", f"Reinstall it: `apt-get install {package}`.")
    lines = (done.stdout + done.stderr).strip().splitlines() or [""]
    return Check(name, True, f"{lines[0].removeprefix('nginx version: ')} ({path})")


def nginx(config: Config) -> Check:
    """nginx itself."""
    return _program("nginx", config.nginx, "nginx", "nginx", "-v")


def nginx_lua(config: Config) -> Check:
    """nginx's Lua module and the Lua library that it loads first."""
    name, remedy = "nginx Lua module", "Install it: `apt-get install libnginx-mod-http-lua lua-resty-core`."
    program = shutil.which(config.nginx)
    if program is None:
        return Check(name, False, "nginx's Lua module can't be looked for without nginx.", remedy)
    built = subprocess.run([program, "-V"], capture_output=True, text=True, check=False, timeout=20).stderr
    if "lua-nginx-module" in built and "--add-module" in built:
        return Check(name, True, "built in")
    words = [w.removeprefix("--modules-path=") for w in built.split() if w.startswith("--modules-path=")]
    module = Path(*words[:1] or ["/usr/lib/nginx/modules"]) / "ngx_http_lua_module.so"
    if not module.is_file():
        return Check(name, False, f"nginx has no Lua module: there is no {module}.", remedy)
    if not any(Path("/usr").glob("*/lua/5.1/resty/core.lua")) and not Path("/usr/local/share/lua").exists():
        return Check(name, False, "The Lua library resty.core is missing.", remedy)
    return Check(name, True, str(module))


def oci_runtime(config: Config) -> Check:
    """The program that makes sandboxes."""
    return _program("OCI runtime", config.oci_runtime, "oci_runtime", "runc", "--version")


def packet_filter(config: Config) -> Check:
    """nftables, which keeps sandboxes from each other and from the private network."""
    found = _program("packet filter", "nft", "", "nftables", "--version")
    if not found.ok or os.geteuid() != 0:
        return found
    done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False, timeout=20)
    if done.returncode:
        return Check(
            found.name, False, f"nft can't speak to the kernel: {done.stderr.strip()[:200]}.",
            "Run a kernel with nf_tables; in a container, give it the capability NET_ADMIN.",
        )  # fmt: skip
    return found


def connection_limit(config: Config) -> Check:
    """The kernel's limit on a sandbox's connections. The platform starts without it."""
    from hereabouts.sandbox import network

    if network.limits_connections(config):
        return Check("connection limit", True, f"{network.CONNECTIONS} for each sandbox")
    return Check(
        "connection limit", False, "The kernel can't limit sandboxes' connections: one may fill the table of all.",
        "Run a kernel with nft_connlimit and CONFIG_NF_CONNTRACK_TIMEOUT, which those of distributions have.",
    )  # fmt: skip


def call_filter(config: Config) -> Check:
    """The system calls that sandboxes may make."""
    from hereabouts.sandbox import runtime

    if runtime.seccomp() is not None:
        return Check("call filter", True, "seccomp, with the profile of the distribution's containers")
    return Check(
        "call filter", False, "The profile that limits the sandboxes' system calls is not installed.",
        "Install it: `apt-get install golang-github-containers-common`.",
    )  # fmt: skip


def cgroups(config: Config) -> Check:
    """The kernel's limits on memory, processor and processes, as version 2 or 1."""
    remedy = "Mount cgroups writable with the controllers cpu, memory and pids (in a container: --privileged)."
    unified = _CGROUPS / "cgroup.controllers"
    if unified.is_file():
        version, found = 2, set(unified.read_text(encoding="utf-8").split())
        writable = os.access(_CGROUPS, os.W_OK)
    else:
        version, found = 1, {c for c in _CONTROLLERS if (_CGROUPS / c).is_dir()}
        writable = all(os.access(_CGROUPS / c, os.W_OK) for c in found)
    missing = [controller for controller in _CONTROLLERS if controller not in found]
    if missing:
        return Check("cgroups", False, f"cgroups lack the controller {', '.join(missing)}.", remedy)
    if not writable:
        return Check("cgroups", False, f"{_CGROUPS} is not writable.", remedy)
    return Check("cgroups", True, f"version {version} with {', '.join(_CONTROLLERS)}")


def users(config: Config) -> Check:
    """nginx's user exists, and nobody has a user id of the accounts' range."""
    try:
        pwd.getpwnam(config.nginx_user)
    except KeyError:
        return Check(
            "users", False, f"There is no system user {config.nginx_user} for nginx's workers.",
            "Install nginx, or set `nginx_user` to the user that nginx runs as.",
        )  # fmt: skip
    last = config.uid_first + config.uid_count - 1
    taken = [entry for entry in pwd.getpwall() if config.uid_first <= entry.pw_uid <= last]
    if taken:
        return Check(
            "users", False, f"The user id {taken[0].pw_uid} belongs to {taken[0].pw_name} already.",
            "Set `uid_first` and `uid_count` to a range that nobody uses.",
        )  # fmt: skip
    return Check("users", True, f"{config.nginx_user}; ids {config.uid_first} to {last} are free")


def data_directory(config: Config) -> Check:
    """Files can be written where the data is."""
    place = existing(config.data_dir)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"\0" * 65_536)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Check(
            "data directory", False, f"Nothing can be written to {place}: {error.strerror}.",
            "Make it writable, free space on its disk, or set `data_dir` to another directory.",
        )  # fmt: skip
    return Check("data directory", True, f"{config.data_dir} is writable")


def disk(config: Config) -> Check:
    """There is room for databases and logs."""
    usage = shutil.disk_usage(existing(config.data_dir))
    free = usage.free // 1_048_576
    found = f"The disk of {config.data_dir} has {free} MB free"
    if free < _LEAST_FREE_MB:
        return Check(
            "disk", False, f"{found}, too little to run.", "Free some space, or set `data_dir` to another disk."
        )
    return Check("disk", True, f"{free:,} MB free")


def existing(path: Path) -> Path:
    """The path itself, or the nearest directory above it that exists."""
    return next((place for place in (path, *path.parents) if place.exists()), Path("/"))


def ports(config: Config, ours: frozenset[int] = frozenset()) -> Iterator[Check]:
    """Each port for visitors is free, or held by a process of ours."""
    for setting in ("http_port", "https_port"):
        port = getattr(config, setting)
        refused = next(filter(None, (_refusal(address.strip("[]"), port) for address in config.listen)), None)
        holder = _holder(port) if refused else None
        if refused is None:
            yield Check(f"port {port}", True, "free")
        elif holder and holder[0] in ours:
            yield Check(f"port {port}", True, "in use by this platform")
        else:
            by = f" by {holder[1]} (process {holder[0]})" if holder else ""
            yield Check(
                f"port {port}", False, f"Port {port} is taken{by}: {refused}.",
                f"Stop what holds it, or set `{setting}` to a free port.",
            )  # fmt: skip


def ports_free(config: Config) -> bool:
    """Whether every port for visitors can be bound now."""
    return not any(_refusal(a.strip("[]"), p) for a in config.listen for p in (config.http_port, config.https_port))


def _refusal(address: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((address, port))
            probe.listen()
        except OSError as error:
            return error.strerror or str(error)
    return None


def _holder(port: int) -> tuple[int, str] | None:
    """The first process that listens on the port, and its name; None where it can't be seen."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        path = Path("/proc/net", table)
        for line in path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for process in sorted((p for p in Path("/proc").iterdir() if p.name.isdigit()), key=lambda p: int(p.name)):
        try:
            if any(str(link.readlink()) in inodes for link in (process / "fd").iterdir()):
                return int(process.name), (process / "comm").read_text(encoding="utf-8").strip()
        except OSError:
            continue
    return None


def clock(config: Config) -> Check:
    """The clock is not before what was already written: certificates would not be valid yet."""
    newest = max((Path(__file__), config.authority_file, config.sqlite_file), key=_changed)
    now, written = time.time(), _changed(newest)
    if now + 60 < written:
        return Check(
            "clock", False, f"The clock says {_utc(now)}, but {newest} was written at {_utc(written)}: the clock is "
            "behind now, or was ahead then.",
            "If it is behind, set it: `apt-get install systemd-timesyncd`, or `date -s`. If it was ahead: "
            f"`touch {newest}`.",
        )  # fmt: skip
    return Check("clock", True, _utc(now))


def _utc(seconds: float) -> str:
    return time.strftime("%F %T UTC", time.gmtime(seconds))


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def open_files(config: Config) -> Check:
    """A process may open enough files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < _OPEN_FILES:
        return Check(
            "file limits", False, f"A process may open {most:,} files, too few for {_OPEN_FILES // 2:,} visitors.",
            f"Raise the limit: `ulimit -n {_OPEN_FILES}` as root, or LimitNOFILE= in the service's unit.",
        )  # fmt: skip
    return Check("file limits", True, "no limit" if most == resource.RLIM_INFINITY else f"{most:,} open files")
