"""What can be wrong with a machine or its settings: each is told in a sentence, with a remedy, never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from hereabouts.daemons import first_run
from hereabouts.daemons.environ import environment
from tests.platform import Platform

from .conftest import Run

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def _refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def _path_without(tmp_path: Path, *missing: str) -> str:
    """A PATH with the programs of the real one except some."""
    links = tmp_path / "path"
    links.mkdir()
    for program in ("nginx", "runc", "nft", "sh", "cat"):
        found = shutil.which(program)
        if found and program not in missing:
            (links / program).symlink_to(found)
    return str(links)


def test_a_misspelt_setting(hereabouts: Run) -> None:
    _refused(
        hereabouts("config", settings={"htps_port": "1"}), "HEREABOUTS_HTPS_PORT", "Did you mean HEREABOUTS_HTTPS_PORT?"
    )


def test_a_setting_out_of_range(hereabouts: Run) -> None:
    _refused(hereabouts("up", settings={"memory_mb": "3"}), "HEREABOUTS_MEMORY_MB", "'3' is out of range", "16")


def test_a_setting_of_the_wrong_kind_in_the_file(hereabouts: Run, tmp_path: Path) -> None:
    (tmp_path / "hereabouts.toml").write_text('crash_limit = "many"\n')
    _refused(hereabouts("config"), "crash_limit", "'many' is not a whole number", "hereabouts.toml")


def test_a_file_that_is_not_toml(hereabouts: Run, tmp_path: Path) -> None:
    (tmp_path / "hereabouts.toml").write_text("domain: x\n")
    _refused(hereabouts("config"), "not valid TOML")


def test_not_root(hereabouts: Run) -> None:
    _refused(hereabouts("up", uid=65534), "needs root", "sudo")


@pytest.mark.parametrize(
    "words", [("user", "list"), ("status",), ("certificates",), ("env", "demo"), ("logs", "demo.localhost")]
)
def test_not_root_for_what_reads_data(hereabouts: Run, words: tuple[str, ...]) -> None:
    _refused(hereabouts(*words, uid=65534), "needs root", "sudo")


@needs_root
def test_no_platform_yet(hereabouts: Run) -> None:
    _refused(hereabouts("status"), "There is no platform", "make up")


@needs_root
@pytest.mark.parametrize(("program", "package"), [("nginx", "nginx"), ("runc", "runc"), ("nft", "nftables")])
def test_a_program_missing(hereabouts: Run, tmp_path: Path, program: str, package: str) -> None:
    done = hereabouts("up", path=_path_without(tmp_path, program))
    _refused(done, f"The program {program} is not in PATH", f"apt-get install {package}")


@needs_root
def test_nginx_without_the_lua_module(hereabouts: Run, tmp_path: Path) -> None:
    nginx = tmp_path / "nginx"
    nginx.write_text(f"#!/bin/sh\necho 'configure arguments: --modules-path={tmp_path}' >&2\n")
    nginx.chmod(0o755)
    _refused(hereabouts("up", settings={"nginx": str(nginx)}), "no Lua module", "libnginx-mod-http-lua")


@needs_root
def test_a_port_taken(hereabouts: Run, ports: list[int]) -> None:
    with socket.create_server(("127.0.0.1", ports[1])):
        done = hereabouts("up")
    _refused(done, f"Port {ports[1]} is taken by", f"process {os.getpid()}", "https_port")


@needs_root
def test_a_full_disk(hereabouts: Run, full_disk: Path) -> None:
    _refused(hereabouts("up", settings={"data_dir": str(full_disk)}), "No space left on device", "data_dir")


@needs_root
def test_a_data_directory_that_is_not_writable(hereabouts: Run) -> None:
    _refused(hereabouts("up", settings={"data_dir": "/proc/hereabouts"}), "Nothing can be written to /proc", "data_dir")


@needs_root
def test_an_unknown_nginx_user(hereabouts: Run) -> None:
    _refused(hereabouts("up", settings={"nginx_user": "nosuchuser"}), "no system user nosuchuser", "nginx_user")


@needs_root
def test_user_ids_that_belong_to_others(hereabouts: Run) -> None:
    settings = {"uid_first": "65000", "uid_count": "600"}
    _refused(hereabouts("up", settings=settings), "65534 belongs to nobody", "uid_first")


class Silent:
    """A report to nobody."""

    def step(self, text: str) -> AbstractContextManager[Any]:
        return nullcontext()

    def warn(self, text: str) -> None:
        raise AssertionError(text)


@needs_root
def test_a_first_run_that_ended_before_the_operator_had_an_account(running: Platform) -> None:
    config, environ = running.config, environment(running.config)
    running.cli("user", "remove", "operator", "--yes")
    pending, log = config.data_dir / "first-run-pending", config.platform_log("operator")
    pending.write_text("the demo website\n")
    log.unlink()
    log.mkdir()  # which ends the run, once the demo is there
    try:
        with pytest.raises(IsADirectoryError):
            first_run.ensure(config, environ, Silent())
    finally:
        log.rmdir()
    found = first_run.ensure(config, environ, Silent())
    assert (bool(found.password), found.demo, pending.exists()) == (True, "demo.localhost", False)
    assert first_run.ensure(config, environ, Silent()) == first_run.Result(None, "demo.localhost")


@needs_root
def test_doctor_lists_every_failure_with_its_remedy(hereabouts: Run, tmp_path: Path) -> None:
    done = hereabouts("doctor", "--json", path=_path_without(tmp_path, "nginx", "runc"))
    assert done.returncode == 1
    failed = {check["name"]: check for check in json.loads(done.stdout) if not check["ok"]}
    assert set(failed) == {"nginx", "nginx Lua module", "OCI runtime"}
    assert all(check["remedy"] for check in failed.values())


@needs_root
def test_doctor_tells_of_a_clock_that_is_behind_or_was_ahead(hereabouts: Run, tmp_path: Path) -> None:
    """Which of them nobody knows but who looks at a clock."""
    authority = tmp_path / "data" / "certificates" / "authority.pem"
    authority.parent.mkdir(parents=True)
    authority.touch()
    assert _clock(hereabouts)["ok"] is True
    os.utime(authority, (4e9, 4e9))
    told = _clock(hereabouts)
    assert f"{authority} was written at 2096-10-02 07:06:40 UTC" in told["found"]
    assert "is behind now, or was ahead then" in told["found"]
    assert f"`touch {authority}`" in told["remedy"]


def _clock(hereabouts: Run) -> dict[str, Any]:
    checks = json.loads(hereabouts("doctor", "--json").stdout)
    return next(check for check in checks if check["name"] == "clock")


@needs_root
def test_doctor_on_this_machine(hereabouts: Run) -> None:
    done = hereabouts("doctor")
    assert done.returncode == 0, done.stdout
    assert "failed" not in done.stdout
