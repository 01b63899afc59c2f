"""Each sandbox's own network: a namespace, a cable to this machine, rules for what it may reach.

A namespace is made without a name and held by an open file until the sandbox's processes are in it; it
disappears, cable and routes included, with the last of them. Nothing is left to clean up.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path

from hereabouts import files
from hereabouts.config import Config
from hereabouts.errors import MachineError, SandboxError
from hereabouts.sandbox.homes import name_servers

_CLONE_NEWNET = 0x40000000
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_TIMEOUTS = Path("/proc/sys/net/netfilter")
_PATIENCE_SECONDS = 30
_GLANCE_SECONDS = 0.005
_libc = ctypes.CDLL(None, use_errno=True)
_lock = threading.Lock()

CONNECTIONS = 1024
"""Connections to outside that a sandbox may hold at once. Visitors' are in the same table of the machine, which has
room for 65,536 or 262,144 on most."""
NEW_CONNECTIONS = 200
"""Connections that a sandbox may open in a second, beside a first burst of as many as it may hold."""

_RULES = """\
table ip hereabouts_{tag}
delete table ip hereabouts_{tag}
table ip hereabouts_{tag} {{
    set blocked {{ type ipv4_addr; flags interval; auto-merge; {blocked} }}
    set name_servers {{ type ipv4_addr; {servers} }}
    {counters}
    chain refused {{
        meta l4proto tcp reject with tcp reset
        reject
    }}
    chain allowed {{
        {limits}
        accept
    }}
    chain input {{
        type filter hook input priority filter; policy accept;
        iifname != "{prefix}*" accept
        ct state established,related accept
        tcp dport {{ {http}, {https} }} goto allowed
        ip daddr @name_servers meta l4proto {{ tcp, udp }} th dport 53 goto allowed
        icmp type echo-request goto allowed
        reject
    }}
    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname "{prefix}*" oifname "{prefix}*" drop
        iifname "{prefix}*" ip saddr != {subnet} drop
        iifname "{prefix}*" ip daddr @name_servers meta l4proto {{ tcp, udp }} th dport 53 goto allowed
        iifname "{prefix}*" ip daddr @blocked reject
        iifname "{prefix}*" goto allowed
        oifname "{prefix}*" ct state established,related accept
        oifname "{prefix}*" drop
    }}
    chain outgoing {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {subnet} oifname != "{prefix}*" masquerade
    }}
}}
"""

# A sandbox is known by its cable, whose index is not used again: who gets its address next starts at nothing.
# A closed connection is not counted, yet in the kernel's table for two minutes, and an answered lookup is counted for
# half a minute: here it is ten seconds for both. So a sandbox takes some 4,000 entries at most.
_COUNTERS = """\
    ct timeout brief_tcp {{
        protocol tcp; l3proto ip
        policy = {{ {usual}time_wait : 10 }}
    }}
    ct timeout brief_lookup {{
        protocol udp; l3proto ip
        policy = {{ unreplied : 10, replied : 10 }}
    }}
    set opening {{ type iface_index; flags dynamic,timeout; timeout 1m; }}
    set held {{ type iface_index; flags dynamic; }}
"""
# What has an answer is not new any more; what has none, such as datagrams to StatsD, is counted with its first packet.
_LIMITS = f"""\
        ct state != new accept
        ct status confirmed accept
        update @opening {{ iif limit rate over {NEW_CONNECTIONS}/second burst {CONNECTIONS} packets }} goto refused
        add @held {{ iif ct count over {CONNECTIONS} }} goto refused
        meta l4proto tcp ct timeout set "brief_tcp"
        udp dport 53 ct timeout set "brief_lookup"
"""


def prepare(config: Config) -> None:
    """Make this machine ready to host sandboxes: its own address towards them, forwarding, rules.

    Safe to repeat; running sandboxes keep their connections, and the limits count new ones only. Where the kernel knows
    no such limits, there are none (`limits_connections`). How long it keeps connections is what its sysctls say now.
    Raises MachineError.
    """
    try:
        _ip(f"address replace {gateway(config)}/32 dev lo")
    except OSError as error:
        raise MachineError(
            problem=f"The machine can't have its address towards sandboxes, {gateway(config)}: {error}.",
            remedy="Install iproute2; a container needs the capability NET_ADMIN.",
        ) from error
    if _FORWARD.read_text().strip() != "1":
        _FORWARD.write_text("1")
    if not _nft(_rules(config)).returncode:
        return
    done = _nft(_rules(config, limited=False))
    if done.returncode:
        raise MachineError(
            problem=f"The packet filter refused the sandboxes' rules: {done.stderr.strip()[:300]}.",
            remedy="Install nftables, and run on a kernel with nf_tables.",
        )


def limits_connections(config: Config) -> bool:
    """Whether this machine's kernel can limit the sandboxes' connections; without that they are hosted all the same."""
    return not _nft(_rules(config), "--check").returncode


def _nft(rules: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["nft", *options, "-f", "-"], input=rules, text=True, capture_output=True, check=False)


def release(config: Config) -> None:
    """Take this platform's rules and address away again."""
    subprocess.run(["nft", "delete", "table", "ip", f"hereabouts_{config.tag}"], capture_output=True, check=False)
    with suppress(OSError):
        _ip(f"address del {gateway(config)}/32 dev lo")


def gateway(config: Config) -> IPv4Address:
    """This machine's address towards the sandboxes."""
    return config.subnet.network_address + 1


def _prefix(config: Config) -> str:
    return f"hb{config.tag}-"


def _rules(config: Config, *, limited: bool = True) -> str:
    def elements(addresses: list[str]) -> str:
        return f"elements = {{ {', '.join(addresses)} }};" if addresses else ""

    return _RULES.format(
        tag=config.tag,
        prefix=_prefix(config),
        subnet=config.subnet,
        http=config.http_port,
        https=config.https_port,
        blocked=elements(list(config.blocked_networks)),
        servers=elements(name_servers()),
        counters=_COUNTERS.format(usual=_usual_timeouts()).strip() if limited else "",
        limits=_LIMITS.strip() if limited else "",
    )


def _usual_timeouts() -> str:
    """How long the kernel keeps TCP's connections, in seconds by state, but for closed ones: this machine's sysctls.

    For a state that a policy does not name, nft sets the kernel's default instead. A kernel without conntrack's module
    yet has no sysctls of it, and nothing but the defaults.
    """
    names = {state: state for state in ("syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack")}
    names |= {"close": "close", "retrans": "max_retrans", "unack": "unacknowledged"}
    policy = ""
    for state, name in names.items():
        with suppress(OSError):
            seconds = (_TIMEOUTS / f"nf_conntrack_tcp_timeout_{name}").read_text().strip()
            policy += f"{state} : {seconds}, "
    return policy


def is_prepared(config: Config) -> bool:
    """Whether this machine hosts the platform's sandboxes now: its address towards them is there."""
    shown = subprocess.run(
        ["ip", "-oneline", "address", "show", "dev", "lo"], capture_output=True, text=True, check=False
    )
    return f" {gateway(config)}/32 " in shown.stdout


@contextmanager
def namespace(config: Config) -> Iterator[str]:
    """A fresh network namespace with a cable to this machine, as a path that an OCI runtime can join.

    The path is good inside the ``with``; a process that joined keeps the namespace afterwards.
    Raises SandboxError.
    """
    with _held(_lay(config)) as path:
        yield path


class Spare:
    """Namespaces for a process that starts many sandboxes: one is always made ahead, which saves each start 20 ms."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._maker = ThreadPoolExecutor(1, "network")
        self._next = self._maker.submit(_lay, config)

    @contextmanager
    def namespace(self) -> Iterator[str]:
        """As the function of that name. Safe from any thread."""
        with _lock:
            ready, self._next = self._next, self._maker.submit(_lay, self._config)
        try:
            descriptor = ready.result()
        except (SandboxError, OSError):  # what was in the way then may be gone now
            descriptor = _lay(self._config)
        with _held(descriptor) as path:
            yield path


@contextmanager
def _held(descriptor: int) -> Iterator[str]:
    try:
        yield f"/proc/{os.getpid()}/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _lay(config: Config) -> int:
    """Make a namespace and its cable; the namespace as an open file."""
    with _told(), _laying(config):
        address, cable = _free_address(config)
        with ThreadPoolExecutor(1) as thread:  # a thread of its own: it leaves this machine's network
            descriptor = thread.submit(_make, config, address, cable).result()
        try:
            _connect(config, address, cable)
        except BaseException:
            os.close(descriptor)  # the namespace goes with it, and its cable, which frees the address
            raise
    return descriptor


@contextmanager
def _laying(config: Config) -> Iterator[None]:
    """One at a time, of all threads and processes (consoles lay cables, too): each looks for a free address.

    Only root can open the lock: whoever can read a file can lock it. Raises SandboxError.
    """
    path = config.run_dir / "network" / "lock"
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with files.lock(path) as lock:
        while not lock():
            if time.monotonic() > deadline:
                problem = (
                    f"they are given one after the other, and one has taken more than {_PATIENCE_SECONDS} seconds. "
                    f"The operator has to end the process that holds {path}; lslocks tells which."
                )
                raise SandboxError(doing="given a network", problem=problem)
            time.sleep(_GLANCE_SECONDS)
        yield


@contextmanager
def _told() -> Iterator[None]:
    """What the kernel refuses, as a SandboxError."""
    try:
        yield
    except OSError as error:
        raise SandboxError(doing="given a network", problem=f"{error}.") from error


def _ip(*commands: str) -> None:
    """Have iproute2 carry out commands of ip(8) in the calling thread's network. Raises OSError with its words."""
    batch = "".join(f"{command}\n" for command in commands)
    done = subprocess.run(["ip", "-batch", "-"], input=batch, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError((done.stderr.strip() or f"ip ended with {done.returncode}").splitlines()[0])


def _make(config: Config, address: IPv4Address, cable: str) -> int:
    """Enter a new namespace, lay the cable from inside, and return the namespace as an open file."""
    machine = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if _libc.unshare(_CLONE_NEWNET) != 0:
            raise SandboxError(doing="given a network", problem=f"{os.strerror(ctypes.get_errno())}.")
        _ip(
            f"link add eth0 type veth peer name {cable} netns /proc/{os.getpid()}/fd/{machine}",
            "link set lo up",
            "link set eth0 addrgenmode none",  # no IPv6, for which there are no rules
            f"address add {address}/32 dev eth0",
            "link set eth0 up",
            f"route add {gateway(config)}/32 dev eth0 scope link",
            f"route add default via {gateway(config)}",
        )
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    finally:
        os.close(machine)


def unix_socket(pid: int) -> socket.socket:
    """A unix stream socket that belongs to the network namespace of a process.

    A connection made with it is listed in that namespace's ``/proc/{pid}/net/unix``, on both of its ends.
    """

    def make() -> socket.socket:
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        try:
            if _libc.setns(namespace, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        finally:
            os.close(namespace)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(make).result()


def _connect(config: Config, address: IPv4Address, cable: str) -> None:
    """Take up this machine's end of the cable."""
    _ip(
        f"link set {cable} addrgenmode none",
        f"link set {cable} up",
        f"route replace {address}/32 dev {cable} scope link src {gateway(config)}",
    )


def _free_address(config: Config) -> tuple[IPv4Address, str]:
    """An address that no cable of this platform uses, and the cable's name, which ends in its number."""
    prefix = _prefix(config)
    names = [name for _, name in socket.if_nameindex()]
    taken = {int(name.removeprefix(prefix), 16) for name in names if name.startswith(prefix)}
    size = config.subnet.num_addresses
    number = next((n for n in range(2, size - 1) if n not in taken), None)
    if number is None:
        raise SandboxError(
            doing="given a network",
            problem=f"all {size - 3} addresses of {config.subnet} are in use. Set a larger `network`.",
        )
    return config.subnet.network_address + number, f"{prefix}{number:x}"
