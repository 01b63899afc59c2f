"""The control process: without privileges, and back after every end."""

from __future__ import annotations

import dataclasses
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hereabouts.config import Config
from tests.integration.api.conftest import Caller, serving, visitor

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to drop")


@pytest.fixture
def apart(config: Config) -> Iterator[Config]:
    """Settings of a second control process."""
    run_dir = config.data_dir.parent / "apart"
    run_dir.mkdir(exist_ok=True)
    yield dataclasses.replace(config, run_dir=run_dir)


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@needs_root
def test_no_privileges(apart: Config) -> None:
    with serving(apart) as process, visitor(apart) as client:
        assert client.get("/sign-in/").status_code == 200
        found = _status(process.pid)
        ids = "\t".join([str(apart.control_uid)] * 4)
        assert (found["Uid"], found["Gid"], found["Groups"]) == (ids, ids, "")
        assert (int(found["CapEff"], 16), int(found["CapPrm"], 16), found["NoNewPrivs"]) == (0, 0, "1")


@needs_root
def test_only_nginx_reaches_it(apart: Config) -> None:
    with serving(apart), visitor(apart) as client:
        client.get("/")
        found = apart.control_socket.stat()
        assert stat.S_ISSOCK(found.st_mode)
        assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o660, apart.control_uid)


def test_killed_it_comes_back(apart: Config) -> None:
    with serving(apart) as process, visitor(apart) as client:
        assert client.get("/sign-in/").status_code == 200
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert apart.control_socket.exists()  # what it left is no hindrance
    with serving(apart), visitor(apart) as client:
        assert client.get("/sign-in/").status_code == 200


def test_what_callers_do_wrong_is_not_in_its_log(
    apart: Config, alice: Caller, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(apart), visitor(apart) as client:
        hasty = dataclasses.replace(alice, client=client)
        hasty.create()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        codes = [
            client.get("/", headers={"Host": "evil.test"}).status_code,
            client.get("/nothing").status_code,
            client.get("/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui.css").status_code,
            hasty.call("POST", content=b"{", headers={"Content-Type": "application/json"}).status_code,
            hasty.call("POST", content=b"a&" * 5000, headers=form).status_code,
            hasty.call("POST", "alice.example.org/reload/").status_code,
        ]
    assert codes == [400, 404, 200, 400, 400, 502]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_to(apart: Config, number: signal.Signals) -> None:
    with serving(apart) as process:
        with visitor(apart) as client:
            assert client.get("/sign-in/").status_code == 200
        process.send_signal(number)
        process.wait(8)
