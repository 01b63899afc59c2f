"""Schemathesis against the running API: what the schema says is what is answered, and never a 500."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hereabouts.config import Config
from hereabouts.daemons.environ import environment
from tests.integration.api.conftest import Caller, wait_for

PROGRAMS = Path(sys.prefix) / "bin"


@pytest.fixture
def address(config: Config) -> Iterator[str]:
    """Control's application on a TCP port, which is all that Schemathesis knows."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        argv = [PROGRAMS / "uvicorn", "hereabouts.control.asgi:application", "--fd", str(listener.fileno())]
        argv += ["--log-level", "error"]
        environ = environment(config) | {"HEREABOUTS_ANSWER_SECONDS": "0"}
        with subprocess.Popen(argv, env=environ, pass_fds=[listener.fileno()]) as process:
            try:
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


def test_schema(address: str, config: Config, alice: Caller, tmp_path: Path) -> None:
    def schema() -> httpx.Response:
        return httpx.get(f"{address}/api/schema/", headers={"Host": config.host}, timeout=30)

    wait_for(lambda: schema().is_success)
    (tmp_path / "schema.json").write_bytes(schema().content)
    (tmp_path / "schemathesis.toml").write_text('[parameters]\nusername = "alice"\n')
    argv = [PROGRAMS / "schemathesis", "run", "schema.json", "--url", address, "--checks", "all", "--seed", "1"]
    argv += ["--max-examples", "30", "--header", f"Host: {config.host}"]
    argv += ["--header", f"Authorization: Token {alice.token}"]
    # That a domain is taken, or is not this user's to take, is beyond what a schema can say.
    argv += ["--exclude-checks", "positive_data_acceptance"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
