"""The sandbox's configuration as the OCI runtime reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hereabouts.config import Config
from hereabouts.core.webapp import Account, Website, sandbox_token
from hereabouts.sandbox.oci import MASKED, Process, environment, sandbox_config, seccomp_profile, site_process

ALICE = Account("alice", 700_001)
SITE = Website(7, "alice.example.org", ALICE, "uvicorn --uds $DOMAIN_SOCKET a:b", True, 1)
CONFIG = Config(
    domain="example.org", https_port=443, data_dir=Path("/data"), run_dir=Path("/run/h"), memory_mb=64, cpu_percent=150
)


def made(process: Process | None = None, **changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "name": "7-1-abcd", "secret": b"secret", "rootfs": Path("/run/h/rootfs"), "etc": Path("/run/h/etc/alice"),
        "namespace": "/run/netns/x", "sockets": (Path("/run/h/i/socket"), "/var/sockets/alice.example.org"),
        "seccomp": None,
    }  # fmt: skip
    return sandbox_config(CONFIG, ALICE, process or site_process(SITE), **(arguments | changes))


def mounts(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {mount["destination"]: mount for mount in config["mounts"]}


def test_the_server_is_what_bash_executes() -> None:
    process = site_process(SITE)
    assert process.args == ("/bin/bash", "-c", "uvicorn --uds /var/sockets/alice.example.org/app.sock a:b")
    assert process.environment["DOMAIN_SOCKET"] == "/var/sockets/alice.example.org/app.sock"


def test_no_privileges() -> None:
    config = made()
    process = config["process"]
    assert (process["user"]["uid"], process["user"]["gid"]) == (700_001, 700_001)
    assert all(found == [] for found in process["capabilities"].values())
    assert len(process["capabilities"]) == 5
    assert process["noNewPrivileges"] is True
    assert config["root"] == {"path": "/run/h/rootfs", "readonly": True}
    assert set(MASKED) <= set(config["linux"]["maskedPaths"])
    assert config["linux"]["resources"]["devices"] == [{"allow": False, "access": "rwm"}]


def test_namespaces_of_its_own() -> None:
    namespaces = made()["linux"]["namespaces"]
    assert {namespace["type"] for namespace in namespaces} == {"pid", "mount", "ipc", "uts", "cgroup", "network"}
    assert {"type": "network", "path": "/run/netns/x"} in namespaces


def test_limits() -> None:
    resources = made()["linux"]["resources"]
    assert resources["memory"] == {"limit": 64 << 20, "swap": 64 << 20}
    assert resources["cpu"]["quota"] / resources["cpu"]["period"] == 1.5
    assert resources["pids"] == {"limit": CONFIG.processes}
    rlimits = {limit["type"]: limit for limit in made()["process"]["rlimits"]}
    assert rlimits["RLIMIT_CORE"]["hard"] == 0
    assert rlimits["RLIMIT_NOFILE"]["hard"] == rlimits["RLIMIT_NOFILE"]["soft"] == CONFIG.open_files


def test_environment() -> None:
    variables = environment(CONFIG, ALICE, b"secret")
    assert variables["API_TOKEN"] == sandbox_token(b"secret", ALICE)
    assert variables["HOME"] == "/home/alice"
    assert variables["USER"] == variables["PYTHONANYWHERE_USERNAME"] == "alice"
    assert (variables["PYTHONANYWHERE_SITE"], variables["PYTHONANYWHERE_DOMAIN"]) == ("example.org", "example.org")
    assert "TERM" not in variables
    found = made()["process"]["env"]
    assert {f"{name}={value}" for name, value in variables.items()} <= set(found)
    assert not any("secret" in entry.partition("=")[2] for entry in found)


def test_a_console_has_a_terminal() -> None:
    process = made(Process(("/bin/bash",), {}, terminal=True))["process"]
    assert process["terminal"] is True
    assert "TERM=xterm-256color" in process["env"]
    assert "TERM=vt100" in made(Process(("/bin/bash",), {"TERM": "vt100"}, terminal=True))["process"]["env"]


def test_mounts() -> None:
    found = mounts(made())
    assert found["/home/alice"]["source"] == "/data/homes/alice"
    assert "ro" in found["/usr"]["options"]
    assert "ro" in found["/var/log"]["options"]
    assert found["/var/log"]["source"] == "/data/logs/alice"
    assert found["/var/sockets/alice.example.org"]["source"] == "/run/h/i/socket"
    assert f"size={CONFIG.tmp_mb << 10}k" in found["/tmp"]["options"]
    for destination, mount in found.items():
        assert "nosuid" in mount["options"] or destination == "/proc", destination
        assert mount["source"] not in ("/", "/data", "/run", "/etc", "/home", "/data/homes")


def test_a_console_has_no_sockets() -> None:
    assert not [name for name in mounts(made(sockets=None)) if name.startswith("/var/sockets")]


def test_it_is_json() -> None:
    assert json.loads(json.dumps(made(seccomp={"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []})))


PROFILE: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [], "comment": "", "includes": {}, "excludes": {}},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}, "excludes": {}},
        {"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "excludes": {"caps": ["CAP_BPF"]}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
        {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64"]}},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
    ],
}


@pytest.mark.parametrize(
    ("machine", "names", "architectures"),
    [
        ("x86_64", ["read", "bpf", "arch_prctl", "clone"], ["SCMP_ARCH_X86_64"]),
        ("aarch64", ["read", "bpf", "socket", "clone"], ["SCMP_ARCH_AARCH64"]),
        ("riscv64", ["read", "bpf", "socket", "clone"], None),
    ],
)
def test_seccomp_profile(machine: str, names: list[str], architectures: list[str] | None) -> None:
    result = seccomp_profile(PROFILE, machine)
    assert [name for rule in result["syscalls"] for name in rule["names"]] == names
    assert result.get("architectures") == architectures
    assert (result["defaultAction"], result["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 38)
    assert all(set(rule) <= {"names", "action", "args", "errnoRet"} for rule in result["syscalls"])


def test_the_distributions_profile() -> None:
    path = Path("/usr/share/containers/seccomp.json")
    assert path.exists(), "golang-github-containers-common is not installed: `make test` installs it"
    result = seccomp_profile(json.loads(path.read_text()), "x86_64")
    allowed = {name for rule in result["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    assert {"read", "accept4", "epoll_wait", "futex"} <= allowed
    assert not allowed & {"kexec_load", "init_module", "bpf", "perf_event_open", "open_by_handle_at", "userfaultfd"}
