"""A Bash console, or one command, in the very sandbox that an account's sites run in."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from hereabouts import files
from hereabouts.config import Config
from hereabouts.core.webapp import Account
from hereabouts.errors import PlatformNotRunning, SandboxError
from hereabouts.sandbox import homes, network, oci, runtime


def run(config: Config, account: Account, command: Sequence[str] | None = None) -> int:
    """Run a login shell, or a command line under one, and return its exit code.

    One word is a line for the shell (``'workon venv && pip list'``); several are a command with its arguments.
    """
    if not network.is_prepared(config):  # nothing would confine it
        raise PlatformNotRunning(path=config.run_dir)
    homes.ensure(config, account)
    name = f"console-{account.name}-{secrets.token_hex(4)}"
    bundle = files.directory(config.run_dir / "consoles" / name, mode=0o700)
    terminal = command is None and sys.stdin.isatty() and sys.stdout.isatty()
    args = ["/bin/bash", "-l"]
    if command:
        args += ["-c", command[0] if len(command) == 1 else shlex.join(command)]
    process = oci.Process(args, {"TERM": os.environ.get("TERM", "dumb")}, terminal)
    try:
        with network.namespace(config) as namespace:
            content = oci.sandbox_config(
                config, account, process, name=name, secret=config.secret_file.read_bytes(),
                rootfs=homes.make_rootfs(config), etc=homes.etc(config, account), namespace=namespace,
                sockets=None, seccomp=runtime.seccomp(),
            )  # fmt: skip
            runtime.write_bundle(bundle, content)
            words = ("run", "--bundle", str(bundle), name)
            return _wait(subprocess.Popen(runtime.command(config, *words)))
    finally:
        runtime.delete(config, name)
        with suppress(OSError):
            shutil.rmtree(bundle)


def sweep(config: Config) -> None:
    """Remove what consoles that were killed have left behind; those that run go on."""
    directory = files.directory(config.run_dir / "consoles")
    for bundle in directory.iterdir():
        try:
            found = runtime.state(config, bundle.name)
        except SandboxError:
            continue
        if found is None or found.status == "stopped":
            runtime.delete(config, bundle.name)
            shutil.rmtree(bundle, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes]) -> int:
    """The exit code; Ctrl-C is the sandbox's to handle."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue
