"""What there is on a machine that belongs to no website of a platform: files, groups, cables, processes, mounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from hereabouts.config import Config
from hereabouts.daemons.record import running


def leftovers(config: Config, wanted: set[int], domains: set[str], before: set[str]) -> list[str]:
    """What belongs to no website, or twice to one; ``before`` are the ``mounts`` that there were."""
    instances = {path.name for path in config.instances.iterdir()}
    numbers = [int(name.split("-")[0]) for name in instances]
    found = [f"instance {name}" for name in instances if int(name.split("-")[0]) not in wanted]
    found += [f"{count} instances of {number}" for number, count in Counter(numbers).items() if count > 1]
    found += [f"route {path.name}" for path in config.routes.iterdir() if path.name not in domains]
    found += [f"socket {p.name}" for p in config.published.iterdir() if p.name.split(".")[0] not in instances]
    known = instances | {config.published.name}
    found += [f"directory {path.name}" for path in config.sockets.iterdir() if path.name not in known]
    found += [f"runtime {p.name}" for p in (config.run_dir / "oci").iterdir() if p.name not in instances]
    for place in (f"hereabouts-{config.tag}", f"*/hereabouts-{config.tag}"):
        groups = Path("/sys/fs/cgroup").glob(f"{place}/*-*-*")
        found += [f"cgroup {path}" for path in groups if path.is_dir() and path.name not in instances]
    cables = [path.name for path in Path("/sys/class/net").iterdir() if path.name.startswith(f"hb{config.tag}-")]
    if len(cables) > len(instances) + 1:  # one is kept ready
        found.append(f"{len(cables)} network cables for {len(instances)} instances")
    found += [f"mount {line}" for line in mounts(config) - before]
    return [*found, *_orphans(config, instances)]


def mounts(config: Config) -> set[str]:
    """What is mounted in this platform's directories, as proc(5) lists it."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return {line for line in lines if f" {config.data_dir}/" in line or f" {config.run_dir}" in line}


def _orphans(config: Config, instances: set[str]) -> Iterator[str]:
    """Processes of this platform that none of its instances has, or that it does not know of."""
    spaces = {_link(_pid(config, name), "ns/pid") for name in instances}
    known = {process.pid for process in running(config).values()}
    for pid in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        command = _read(pid, "cmdline").replace("\0", " ")
        if f"/hereabouts-{config.tag}/" in _read(pid, "cgroup"):
            if command and _link(pid, "ns/pid") not in spaces:
                yield f"process {pid} of no instance: {command}"
        elif pid not in known and _is_parent(config, pid, command):
            yield f"process {pid} beside {sorted(known)}: {command}"


def _is_parent(config: Config, pid: int, command: str) -> bool:
    """Whether it is a runtime, an nginx or another process of this platform outside of its sandboxes."""
    if f"--root {config.run_dir}/oci " in command:
        return True
    if command.startswith("nginx: master"):
        return f" {config.run_dir}/" in command
    return " -m hereabouts.daemons " in command and f"HEREABOUTS_RUN_DIR={config.run_dir}\0" in _read(pid, "environ")


def _pid(config: Config, name: str) -> int:
    try:
        return int((config.instances / name / "pid").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0


def _link(pid: int, name: str) -> str:
    try:
        return str(Path(f"/proc/{pid}/{name}").readlink())
    except OSError:
        return ""


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
