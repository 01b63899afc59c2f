"""What an account has on disk: its home, its logs, and the /etc that its sandboxes see."""

from __future__ import annotations

import pwd
import shutil
from pathlib import Path

from hereabouts import files
from hereabouts.config import Config
from hereabouts.core.webapp import Account
from hereabouts.errors import HomeMissing

_COPIED = (
    "ld.so.cache",
    "localtime",
    "mime.types",
    "pip.conf",
    "services",
    "protocols",
    "inputrc",
    "bash.bashrc",
)
_EMPTY_DIRECTORIES = ("ssl", "alternatives", "hereabouts")
_STUB_RESOLVER = Path("/run/systemd/resolve/resolv.conf")
"""Where systemd-resolved lists the real name servers; its own address is out of a sandbox's reach."""

_PROFILE = """\
PS1='\\u@\\h:\\w\\$ '
export VIRTUALENVWRAPPER_PYTHON=/usr/bin/python3
export VIRTUALENVWRAPPER_SCRIPT=/usr/share/virtualenvwrapper/virtualenvwrapper.sh
mkdir -p "$WORKON_HOME"
if [ -r /usr/share/virtualenvwrapper/virtualenvwrapper_lazy.sh ]; then
    . /usr/share/virtualenvwrapper/virtualenvwrapper_lazy.sh
fi
if [ -r ~/.bashrc ]; then . ~/.bashrc; fi
"""


def make(config: Config, account: Account) -> None:
    """Make the account's home, logs and /etc where they are missing, with their owners and modes. Safe to repeat.

    Only the account enters its home. Its log directory is open to it and to nginx's workers, who alone write there:
    the account sees it on a read-only mount.
    """
    home = config.homes / account.name
    if not home.exists():
        files.directory(home, mode=0o700, owner=(account.uid, account.uid))
    logs = config.logs / account.name
    files.directory(logs, mode=0o570, owner=(account.uid, nginx_ids(config)[1]))
    _make_etc(config, account)


def ensure(config: Config, account: Account) -> None:
    """The same before a sandbox is started: raises HomeMissing for a home that was there once, and is gone.

    An empty one in its place would hide that a disk is not mounted, or that somebody's files are lost.
    """
    home = config.homes / account.name
    if not home.exists() and (config.logs / account.name).exists():
        raise HomeMissing(home=home, uid=account.uid)
    make(config, account)


def nginx_ids(config: Config) -> tuple[int, int]:
    """The user and group id of nginx's workers."""
    entry = pwd.getpwnam(config.nginx_user)
    return entry.pw_uid, entry.pw_gid


def etc(config: Config, account: Account) -> Path:
    """The directory that is /etc in the account's sandboxes."""
    return config.run_dir / "etc" / account.name


def name_servers() -> list[str]:
    """The name servers that sandboxes ask: the machine's own, without any on its loopback."""
    for source in (Path("/etc/resolv.conf"), _STUB_RESOLVER):
        servers = [
            line.split()[1] for line in _lines(source) if line.startswith("nameserver") and len(line.split()) > 1
        ]
        outside = [server for server in servers if not server.startswith("127.") and ":" not in server]
        if outside:
            return outside
    return []


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _make_etc(config: Config, account: Account) -> None:
    target = files.directory(etc(config, account))
    for name in _EMPTY_DIRECTORIES:
        files.directory(target / name)
    for name in _COPIED:
        source = Path("/etc") / name
        if source.is_file() and not (target / name).exists():
            shutil.copyfile(source, target / name)
    home = f"/home/{account.name}"
    gateway = config.subnet.network_address + 1
    search = [line for line in _lines(Path("/etc/resolv.conf")) if line.startswith(("search", "options"))]
    texts = {
        "passwd": f"root:x:0:0:root:/root:/usr/sbin/nologin\n"
        f"{account.name}:x:{account.uid}:{account.uid}:{account.name}:{home}:/bin/bash\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        "group": f"root:x:0:\n{account.name}:x:{account.uid}:\nnogroup:x:65534:\n",
        "hosts": f"127.0.0.1 localhost {account.name}\n{gateway} {config.sandbox_host}\n",
        "resolv.conf": "".join([*(f"nameserver {server}\n" for server in name_servers()), *(f"{s}\n" for s in search)]),
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n",
        "profile": _PROFILE,
    }
    for name, text in texts.items():
        path = target / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            files.replace(path, text)
    bundle = target / "hereabouts" / "ca-bundle.pem"
    if config.ca_bundle.exists() and (not bundle.exists() or bundle.stat().st_mtime < config.ca_bundle.stat().st_mtime):
        files.replace(bundle, config.ca_bundle.read_bytes())


def make_rootfs(config: Config) -> Path:
    """The empty root that every sandbox starts from: only places to mount on."""
    root = files.directory(config.run_dir / "rootfs")
    for name in ("usr", "etc", "proc", "sys", "dev", "home", "run", "var/log", "var/sockets"):
        files.directory(root / name)
    files.directory(root / "tmp", mode=0o1777)  # a runtime gives what it mounts the mode of the place
    if not (root / "var/tmp").is_symlink():
        (root / "var/tmp").symlink_to("../tmp")
    for name in ("bin", "sbin", "lib", "lib64"):
        link = root / name
        if not link.is_symlink() and (Path("/usr") / name).exists():
            link.symlink_to(f"usr/{name}")
    return root
