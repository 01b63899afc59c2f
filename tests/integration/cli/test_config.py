"""``hereabouts config`` and the command line itself."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Run


def _settings(done_stdout: str) -> dict[str, dict[str, object]]:
    return {row["setting"]: row for row in json.loads(done_stdout)}


def test_says_where_each_setting_came_from(hereabouts: Run, tmp_path: Path) -> None:
    (tmp_path / "hereabouts.toml").write_text('domain = "sites.example.org"\nhttp_port = 80\n')
    found = _settings(hereabouts("config", "--json").stdout)
    assert (found["domain"]["value"], found["domain"]["source"]) == (
        "sites.example.org",
        str(tmp_path / "hereabouts.toml"),
    )
    assert found["http_port"]["source"] == "environment"
    assert found["memory_mb"]["source"] == "default"


def test_hides_the_password_of_the_database(hereabouts: Run) -> None:
    done = hereabouts("config", settings={"database": "postgresql://joe:secret@db/sites"})
    assert "secret" not in done.stdout
    assert "postgresql://joe:…@db/sites" in done.stdout


def test_is_plain_when_piped(hereabouts: Run) -> None:
    lines = hereabouts("config").stdout.splitlines()
    assert all(len(line.split("\t")) == 4 for line in lines)
    assert lines[0].startswith("domain\tlocalhost\tdefault\t")


def test_help_names_every_command(hereabouts: Run) -> None:
    text = hereabouts("--help").stdout
    for command in ("up", "user", "token", "env", "shell", "status", "certificates", "logs", "doctor", "config"):
        assert f"  {command} " in text
