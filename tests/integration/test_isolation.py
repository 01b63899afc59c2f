"""Two accounts on one machine: neither reaches what is the other's or the platform's."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
import requests

from hereabouts import files
from hereabouts.errors import SandboxError
from hereabouts.sandbox import network
from tests.integration.sites import sandboxes, server_pid, site
from tests.platform import Account, Platform, wait_for

COMMAND = "/usr/bin/python3 probe.py $DOMAIN_SOCKET"
PROBE = '''\
"""A site that runs the Python it is sent, as an account would who means harm."""
import contextlib, http.server, io, json, os, socket, socketserver, threading


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        names, said = {}, io.StringIO()
        code = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            exec(code, names)
            result = {"found": names.get("found")}
        except BaseException as error:
            result = {"error": f"{type(error).__name__}: {error}"}
        answer = json.dumps(result, default=str).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def address_string(self):
        return "visitor"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def listen(family, address):
    listener = socket.socket(family)
    listener.bind(address)
    listener.listen(10)
    return listener


if __name__ == "__main__":
    unix = socket.AF_UNIX
    kept = listen(socket.AF_INET, ("0.0.0.0", 7777)), listen(unix, "\\0hidden"), listen(unix, "/tmp/open")
    os.chmod("/tmp/open", 0o777)
    open("/tmp/mine", "w").write("private")
    Server(os.environ["DOMAIN_SOCKET"], Handler).serve_forever()
'''


class Probe:
    """A site of an account that runs what a test sends."""

    def __init__(self, account: Account, website: dict[str, Any]) -> None:
        self.account, self.website, self.domain = account, website, website["domain_name"]

    def ask(self, code: str) -> Any:
        """The variable ``found`` after the code ran; an exception is an AssertionError."""
        result = self.account.platform.visit(self.domain, "/", "POST", data=code.encode()).json()
        assert "error" not in result, result["error"]
        return result["found"]

    def refused(self, code: str) -> str:
        """The exception that the code ended with."""
        result = self.account.platform.visit(self.domain, "/", "POST", data=code.encode()).json()
        assert "error" in result, f"this was allowed: {code}\n{result}"
        return str(result["error"])

    @property
    def pid(self) -> int:
        return server_pid(self.account.platform, self.website)


@pytest.fixture(scope="module")
def mine(alice: Account) -> Iterator[Probe]:
    """Alice's site."""
    alice.write("probe.py", PROBE)
    with site(alice, COMMAND, "probe-alice.localhost") as website:
        yield Probe(alice, website)


@pytest.fixture(scope="module")
def theirs(bob: Account) -> Iterator[Probe]:
    """Bob's site and his secret."""
    bob.write("probe.py", PROBE)
    bob.write("secret.txt", "bob's secret").chmod(0o666)
    with site(bob, COMMAND, "probe-bob.localhost") as website:
        yield Probe(bob, website)


@pytest.fixture
def fresh(alice: Account) -> Iterator[Probe]:
    """A site of alice's that a test may ruin."""
    alice.write("probe.py", PROBE)
    with site(alice, COMMAND, "fresh-alice.localhost") as website:
        yield Probe(alice, website)


def test_homes_logs_and_sockets_are_ones_own(running: Platform, mine: Probe, theirs: Probe) -> None:
    code = "import os\nfound = [sorted(os.listdir(path)) for path in ('/home', '/var/sockets', '/var/log')]"
    homes, sockets, logs = mine.ask(code)
    assert homes == ["alice"]
    assert sockets == [mine.domain]
    assert f"{mine.domain}.error.log" in logs
    assert not [name for name in logs if "bob" in name]
    for path in (
        "/home/bob/secret.txt",
        theirs.account.home / "secret.txt",
        "/home/alice/../bob/secret.txt",
        f"/proc/1/root{theirs.account.home}/secret.txt",
        running.config.logs / "bob" / f"{theirs.domain}.error.log",
        running.config.sqlite_file,
        running.config.secret_file,
        running.config.run_dir / "up.json",
        running.config.authority_file,
    ):
        assert "FileNotFoundError" in mine.refused(f"open({str(path)!r})")


def test_nor_can_a_link_in_a_home_lead_out_of_it(mine: Probe, theirs: Probe) -> None:
    link = mine.account.home / "way-out"
    link.unlink(missing_ok=True)
    mine.ask(f"import os; os.symlink({str(theirs.account.home / 'secret.txt')!r}, 'way-out')")
    assert "FileNotFoundError" in mine.refused("open('way-out').read()")
    link.unlink()


def test_homes_are_closed_on_the_machine_too(mine: Probe, theirs: Probe) -> None:
    homes = [probe.account.home.stat() for probe in (mine, theirs)]
    assert [home.st_mode & 0o777 for home in homes] == [0o700, 0o700]
    assert homes[0].st_uid != homes[1].st_uid


def test_processes_are_ones_own(mine: Probe, theirs: Probe) -> None:
    code = "import pathlib\nfound = [path.read_text() for path in pathlib.Path('/proc').glob('[0-9]*/cmdline')]"
    assert mine.ask(code) == ["/usr/bin/python3\0probe.py\0/var/sockets/probe-alice.localhost/app.sock\0"]
    assert "ProcessLookupError" in mine.refused(f"import os; os.kill({theirs.pid}, 0)")


def test_the_environment_holds_nothing_of_others(running: Platform, mine: Probe, theirs: Probe) -> None:
    code = "import os, pathlib\nfound = dict(os.environ), pathlib.Path('/proc/1/environ').read_text()"
    environment, first = mine.ask(code)
    assert set(environment) == {
        "HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "WORKON_HOME", "PYTHONANYWHERE_SITE",
        "PYTHONANYWHERE_DOMAIN", "PYTHONANYWHERE_USERNAME", "API_TOKEN", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE",
        "DOMAIN_SOCKET", "FORWARDED_ALLOW_IPS", "PYTHONUNBUFFERED", "PWD", "SHLVL", "_",
    } - ({"_", "PWD", "SHLVL"} - set(environment))  # fmt: skip
    hers, his = environment["API_TOKEN"], theirs.ask("import os\nfound = os.environ['API_TOKEN']")
    assert hers != his
    assert str(running.config.data_dir) not in json.dumps([environment, first])
    assert "HEREABOUTS" not in first


CONNECT = "import socket\nfound = socket.create_connection(({!r}, {}), 3).getpeername()"


def test_sites_do_not_reach_each_other_over_the_network(mine: Probe, theirs: Probe) -> None:
    address = "import subprocess\nfound = subprocess.check_output(['hostname', '-I'], text=True).split()[0]"
    his = theirs.ask(address)
    assert his != mine.ask(address)
    assert mine.ask(CONNECT.format("127.0.0.1", 7777))  # her own
    assert "Error" in mine.refused(CONNECT.format(his, 7777))


def test_abstract_and_temporary_sockets_are_ones_own(mine: Probe, theirs: Probe) -> None:
    unix = "import socket\nconnection = socket.socket(socket.AF_UNIX)\nconnection.connect({!r})\nfound = 'connected'"
    theirs.ask("import os, socket\nglobals()['found'] = os.path.exists('/tmp/mine')")
    theirs.ask("import os\nos.rename('/tmp/open', '/tmp/his'); os.rename('/tmp/mine', '/tmp/his-file')")
    assert mine.ask(unix.format("\0hidden")) == "connected"  # her own
    assert "FileNotFoundError" in mine.refused(unix.format("/tmp/his"))
    assert "FileNotFoundError" in mine.refused("open('/tmp/his-file')")


def test_the_platforms_sockets_are_out_of_reach(running: Platform, mine: Probe, theirs: Probe) -> None:
    config = running.config
    published = next(config.published.glob(f"{theirs.website['id']}-*"))
    for path in (
        config.control_socket,
        config.supervisor_socket,
        config.hold_socket,
        config.gate_socket,
        config.metrics_socket,
        published,
        config.live / published.name,
        next(config.sockets.glob(f"{theirs.website['id']}-*")) / "app.sock",
        f"/var/sockets/{theirs.domain}/app.sock",
    ):
        code = f"import socket\nsocket.socket(socket.AF_UNIX).connect({str(path)!r})"
        error = mine.refused(code)
        assert "FileNotFoundError" in error or "path too long" in error
    assert config.published.stat().st_mode & 0o007 == 0


def test_only_the_ingress_of_this_machine_is_reached(running: Platform, mine: Probe) -> None:
    gateway = str(running.config.subnet.network_address + 1)
    assert mine.ask(CONNECT.format(gateway, running.https)) == [gateway, running.https]
    with socket.create_server(("0.0.0.0", 0)) as other:
        assert "Error" in mine.refused(CONNECT.format(gateway, other.getsockname()[1]))


@pytest.mark.parametrize("address", ["169.254.169.254", "10.255.255.1", "192.168.255.1", "172.31.255.1", "100.64.0.1"])
def test_private_networks_are_out_of_reach(mine: Probe, address: str) -> None:
    error = mine.refused(CONNECT.format(address, 80))
    assert "refused" in error or "unreachable" in error or "prohibited" in error  # at once, not after a silence


@pytest.mark.skipif(platform.machine() != "x86_64", reason="machine code for x86-64")
def test_another_architectures_system_calls_end_the_process(mine: Probe) -> None:
    call = "b8 14 00 00 00 cd 80 c3"  # mov eax, 20 (getpid with 32 bits); int 0x80; ret
    code = (
        "import ctypes, mmap\n"
        "page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)\n"
        f"page.write(bytes.fromhex({call!r}))\n"
        "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()\n"
    )
    run = f"import subprocess, sys\nfound = subprocess.run([sys.executable, '-c', {code!r}]).returncode"
    assert mine.ask(run) == -signal.SIGSYS


def test_there_is_no_ipv6_beyond_the_sandbox(running: Platform, mine: Probe) -> None:
    devices = mine.ask("found = [line.split()[5] for line in open('/proc/net/if_inet6')]")
    assert set(devices) <= {"lo"}
    ours = {
        name: [each.family for each in addresses]
        for name, addresses in psutil.net_if_addrs().items()
        if name.startswith(f"hb{running.config.tag}-")
    }
    assert ours
    assert not [name for name, families in ours.items() if socket.AF_INET6 in families]


def test_no_powers(mine: Probe) -> None:
    status = dict(line.split(":\t", 1) for line in mine.ask("found = open('/proc/self/status').read().splitlines()"))
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(mine.account.home.stat().st_uid)}
    assert status["Groups"].split() in ([], [str(mine.account.home.stat().st_uid)])


@pytest.mark.parametrize(
    "code",
    [
        "open('/usr/bin/python3', 'ab')",
        "open('/usr/local/bin/evil', 'w')",
        "open('/etc/passwd', 'a')",
        "open('/etc/hereabouts/ca-bundle.pem', 'a')",
        "open('/evil', 'w')",
        "open('/var/log/evil', 'w')",
        "open('/var/log/probe-alice.localhost.error.log', 'w')",
        "open('/run/evil', 'w')",
        "open('/home/evil', 'w')",
        "open('/var/sockets/evil', 'w')",
        "open('/proc/sys/kernel/hostname', 'w').write('evil')",
        "open('/proc/sysrq-trigger', 'w').write('b')",
        "import os; os.listdir('/sys/fs/cgroup/memory'); open('/sys/fs/cgroup/memory/evil', 'w')",
        "import os; os.mknod('/tmp/device', 0o20666, os.makedev(1, 1)); open('/tmp/device', 'rb').read(1)",
        "import os; os.setuid(0)",
        "import os; os.chown('probe.py', 0, 0)",
        "import os; os.chroot('/')",
        "import os; os.unshare(0x10000000) if hasattr(os, 'unshare') else os.sethostname",
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True); "
        "assert libc.unshare(0x10000000) == 0, 'no user namespace'",
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True); "
        "assert libc.mount(b'tmpfs', b'/tmp', b'tmpfs', 0, None) == 0, 'no mount'",
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True); assert libc.ptrace(16, 1, 0, 0) == 0, 'no ptrace'",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
        "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "import subprocess; subprocess.run(['sethostname', 'evil'], check=True)",
    ],
)
def test_the_system_is_read_only_and_closed(mine: Probe, code: str) -> None:
    mine.refused(code)


REDIRECT = """\
import os, signal, sys, time
os.symlink(sys.argv[1], os.environ["DOMAIN_SOCKET"])
signal.pause()
"""


@pytest.fixture
def outside(running: Platform, theirs: Probe) -> list[str]:
    """Sockets that nginx reaches and alice must not."""
    config = running.config
    published = next(config.published.glob(f"{theirs.website['id']}-*"))
    return [str(path) for path in (published, config.live / published.name, config.control_socket, config.hold_socket)]


def test_a_symbolic_link_in_place_of_the_socket_is_never_served(
    running: Platform, alice: Account, outside: list[str]
) -> None:
    alice.write("redirect.py", REDIRECT)
    domains = [f"evil{number}-alice.localhost" for number in range(len(outside))]
    try:
        with ThreadPoolExecutor(len(outside)) as pool:
            made = pool.map(
                lambda target, domain: alice.create(f"/usr/bin/python3 redirect.py {target}", domain), outside, domains
            )
            states = [website["state"] for website in made]
        for domain, state in zip(domains, states, strict=True):
            assert "It does not listen on $DOMAIN_SOCKET" in state["detail"]
            assert str((running.config.routes / domain).readlink()).startswith("wait:")
    finally:
        for domain in domains:
            alice.call("DELETE", f"{domain}/")


LINKED = (
    "import os\n"
    "def link():\n"
    "    os.unlink(os.environ['DOMAIN_SOCKET'])\n"
    "    os.symlink({!r}, os.environ['DOMAIN_SOCKET'])\n"
)
DEAF = (
    "import gc, socketserver, threading\n"
    "def vanish():\n"
    "    for server in gc.get_objects():\n"
    "        if isinstance(server, socketserver.UnixStreamServer):\n"
    "            server.socket.close()\n"
    "    link()\n"
    "threading.Timer(0.05, vanish).start()\n"
)


@pytest.mark.parametrize("number", range(4))
def test_replacing_the_socket_of_a_running_site_redirects_nobody(
    fresh: Probe, theirs: Probe, outside: list[str], number: int
) -> None:
    linked = LINKED.format(outside[number])
    fresh.ask(linked + "link()\nfound = True")
    assert _user(fresh) == "alice"  # what was published is the socket, not its name
    os.kill(fresh.pid, signal.SIGKILL)
    assert wait_for(lambda: _user(fresh)) == "alice"
    wait_for(lambda: not _linked(fresh), what="the killed one's directory is gone")
    fresh.ask(linked + DEAF + "found = True")  # now it lets go of its socket: the supervisor looks for another
    wait_for(lambda: _linked(fresh))
    users = [_user(fresh) for _ in range(5)]
    users.append(wait_for(lambda: _user(fresh)))
    assert set(users) <= {"alice", None}
    assert _user(theirs) == "bob"


def _linked(probe: Probe) -> bool:
    """Whether a symbolic link is where the site's server binds."""
    sockets = probe.account.platform.config.sockets
    return any(path.is_symlink() for path in sockets.glob(f"{probe.website['id']}-*/app.sock"))


def _user(probe: Probe) -> str | None:
    """Who answers, None while nobody does."""
    answer = probe.account.platform.visit(probe.domain, "/", "POST", data=b"import os\nfound = os.environ['USER']")
    return str(answer.json()["found"]) if answer.status_code == 200 else None


def test_tokens_are_for_ones_own_account(running: Platform, mine: Probe, theirs: Probe) -> None:
    carried = mine.ask("import os\nfound = os.environ['API_TOKEN']")
    for token in (mine.account.token, carried):
        for path in ("", f"{theirs.domain}/"):
            for method in ("GET", "POST", "PATCH", "DELETE"):
                answer = requests.request(
                    method,
                    f"{running.api}/api/v1/user/bob/websites/{path}",
                    headers={"Authorization": f"Token {token}"},
                    json={"enabled": False},
                    verify=str(running.config.ca_bundle),
                    timeout=20,
                )
                assert answer.status_code in (401, 403), (method, path, answer.text)
    assert mine.account.call("GET", f"{theirs.domain}/").status_code == 404
    assert theirs.account.get(theirs.domain)["enabled"] is True


def test_a_fork_bomb_is_bounded_and_hurts_nobody_else(running: Platform, fresh: Probe, theirs: Probe) -> None:
    bomb = (
        "import os, signal\n"
        "children = []\n"
        "try:\n"
        "    while len(children) < 5000:\n"
        "        pid = os.fork()\n"
        "        if pid == 0:\n"
        "            signal.pause()\n"
        "        children.append(pid)\n"
        "except OSError as error:\n"
        "    limit = error\n"
        "found = len(children)\n"
    )
    count = fresh.ask(bomb)
    assert 10 < count < running.config.processes == 64
    assert theirs.ask("import subprocess\nfound = subprocess.check_output(['echo', 'well'], text=True)") == "well\n"
    os.kill(fresh.pid, signal.SIGKILL)
    assert wait_for(lambda: _user(fresh)) == "alice"
    wait_for(lambda: len(sandboxes(running, fresh.website)) == 1)


def test_taking_memory_hurts_nobody_else(running: Platform, fresh: Probe, theirs: Probe) -> None:
    his = theirs.pid
    with ThreadPoolExecutor(1) as pool:
        hoard = pool.submit(running.visit, fresh.domain, "/", "POST", data=b"kept = b'x' * (1 << 30)")
        for _ in range(5):
            assert theirs.ask("import os\nfound = os.environ['USER']") == "bob"
        assert hoard.result().status_code in (502, 503)
    wait_for(lambda: "killed for memory" in fresh.account.log(fresh.domain, "error"))
    assert wait_for(lambda: _user(fresh)) == "alice"
    assert theirs.pid == his


def test_a_private_tmp_is_bounded(fresh: Probe, theirs: Probe) -> None:
    fill = "with open('/tmp/full', 'wb') as file:\n    for _ in range(1000):\n        file.write(bytes(1 << 20))"
    assert "No space left" in fresh.refused(fill) or wait_for(lambda: _user(fresh))
    assert theirs.ask("open('/tmp/small', 'w').write('x')\nfound = open('/tmp/small').read()") == "x"


HOARD = """\
import socket
kept, refused = [], 0
for _ in range({limit} + 20):
    try:
        kept.append(socket.create_connection({ingress}, 3))
    except ConnectionRefusedError:
        refused += 1
found = len(kept), refused
import builtins
builtins.kept = kept
"""
SPEND = """\
import socket
for opened in range(5 * {limit}):
    try:
        socket.create_connection({ingress}, 3).close()
    except ConnectionRefusedError:
        break
found = opened
"""


def test_a_sandboxs_connections_are_bounded_and_hurt_nobody_else(
    running: Platform, fresh: Probe, theirs: Probe
) -> None:
    limit, ingress = network.CONNECTIONS, (str(network.gateway(running.config)), running.https)
    assert network.limits_connections(running.config)
    assert fresh.ask(HOARD.format(limit=limit, ingress=ingress)) == [limit, 20]
    assert theirs.ask(CONNECT.format(*ingress)) == list(ingress)
    fresh.ask("import builtins\nfor connection in builtins.kept: connection.close()\nfound = True")
    wait_for(lambda: fresh.ask(f"import socket\nfound = socket.socket().connect_ex({ingress})") == 0)
    assert fresh.ask(SPEND.format(limit=limit, ingress=ingress)) < 5 * limit - 1  # nor does closing them help
    assert theirs.ask(CONNECT.format(*ingress)) == list(ingress)


T = TypeVar("T")


def _on_a_machine_of_its_own(work: Callable[[], T]) -> T:
    """What this returns in a network that ends with it, without any other's rules, addresses and settings."""

    def run() -> T:
        assert ctypes.CDLL(None).unshare(0x40000000) == 0  # CLONE_NEWNET, of this thread
        return work()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()


OUTSIDE = """\
link set lo up
link add outside type veth peer name far
address add 198.51.100.1/24 dev outside
link set outside up
link set far up
neighbor add 198.51.100.2 lladdr 02:00:00:00:00:02 dev outside
"""
TELL = """\
import socket
metrics = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
metrics.connect(("198.51.100.2", 8125))
refused = 0
for _ in range({count}):
    try:
        metrics.send(b"visits:1|c")
    except ConnectionRefusedError:
        refused += 1
socket.create_connection({ingress}, 3)
print(refused)
"""


def test_datagrams_that_get_no_answer_are_one_connection(running: Platform, tmp_path: Path) -> None:
    config = replace(running.config, run_dir=tmp_path)
    ingress = (str(network.gateway(config)), config.https_port)
    code = TELL.format(count=3 * network.CONNECTIONS, ingress=ingress)

    def told() -> str:
        subprocess.run(["ip", "-batch", "-"], input=OUTSIDE, text=True, check=True)
        network.prepare(config)
        with socket.create_server(("0.0.0.0", config.https_port)), network.namespace(config) as place:
            command = ["nsenter", f"--net={place}", sys.executable, "-c", code]
            return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout

    assert _on_a_machine_of_its_own(told) == "0\n"


def test_a_sandboxs_connections_are_kept_for_as_long_as_the_operator_says(running: Platform, tmp_path: Path) -> None:
    config = replace(running.config, run_dir=tmp_path)
    sysctls = Path("/proc/sys/net/netfilter")

    def rules() -> str:
        for name, seconds in (("established", 600), ("unacknowledged", 200), ("time_wait", 60)):
            (sysctls / f"nf_conntrack_tcp_timeout_{name}").write_text(str(seconds))
        network.prepare(config)
        return subprocess.check_output(["nft", "list", "table", "ip", f"hereabouts_{config.tag}"], text=True)

    times = dict(re.findall(r"(\w+) : (\d+)", _on_a_machine_of_its_own(rules)))
    assert (times["established"], times["unack"], times["time_wait"]) == ("600", "200", "10")


def test_a_lock_that_others_cannot_open_is_waited_for_but_not_forever(
    running: Platform, theirs: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (running.config.run_dir / "network").stat().st_mode & 0o077 == 0
    config = replace(running.config, run_dir=tmp_path)
    monkeypatch.setattr(network, "_PATIENCE_SECONDS", 0.1)  # else half a minute
    with files.lock(tmp_path / "network" / "lock") as lock:
        assert lock()
        with pytest.raises(SandboxError, match="one after the other"), network.namespace(config):
            pass
    with network.namespace(config) as place:
        assert Path(place).exists()


def _instead(directory: Path, program: str, refused: str) -> str:
    """A PATH on which the program refuses input with these words, and keeps what it was given in a file of its name."""
    script = directory / "bin" / program
    script.parent.mkdir(exist_ok=True)
    script.write_text(
        f"#!/bin/sh\ntee '{directory}/{program}' | grep -q '{refused}' && exit 1\n"
        f"exec {shutil.which(program)} \"$@\" < '{directory}/{program}'\n"
    )
    script.chmod(0o755)
    return f"{script.parent}:{os.environ['PATH']}"


def test_a_cable_that_can_not_be_laid_leaves_nothing(
    running: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(running.config, run_dir=tmp_path)
    monkeypatch.setenv("PATH", _instead(tmp_path, "ip", "route replace"))
    with pytest.raises(SandboxError), network.namespace(config):
        pass
    given = re.search(r"route replace \S+ dev (\S+) ", (tmp_path / "ip").read_text())
    assert given
    wait_for(lambda: not Path("/sys/class/net", given[1]).exists(), what="the cable is gone")
    held = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert not [name for name in held if name.startswith("net:")]


def test_a_kernel_without_limits_on_connections_hosts_all_the_same(
    running: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(running.config, run_dir=tmp_path, network="10.191.0.0/24")
    try:
        with monkeypatch.context() as patch:
            patch.setenv("PATH", _instead(tmp_path, "nft", "ct count"))
            assert not network.limits_connections(config)
            network.prepare(config)
        assert network.is_prepared(config)
    finally:
        network.release(config)
