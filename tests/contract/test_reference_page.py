"""The Python code of the reference page, with nothing replaced but host, user and token.

``reference_page.md`` is the public help page "Using the API to run ASGI sites on PythonAnywhere (beta)".
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.platform import Account

PAGE = (Path(__file__).parent / "reference_page.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
INSTALL = [text.strip() for kind, text in BLOCKS if kind == "bash"]
CODE = [text for kind, text in BLOCKS if kind == "python" and text.lstrip()[0] not in "[{"]

_CONSOLE = """\
import contextlib, io, json, sys
names = {}
for line in sys.stdin:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(json.loads(line), names)
    print(json.dumps(said.getvalue()), flush=True)
"""


class Console:
    """A Python console in which the page's blocks are run one after the other."""

    def __init__(self, python: Path, environ: dict[str, str], replaced: dict[str, str]) -> None:
        self._replaced = replaced
        self.process = subprocess.Popen(
            [python, "-c", _CONSOLE], env=environ, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run(self, code: str) -> str:
        """What the code prints."""
        for old, new in self._replaced.items():
            code = code.replace(old, new)
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(code) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the page's code ended with an exception"
        said: str = json.loads(line)
        return said


SITE, CREATE, LIST, GET, _HTTPS, RELOAD, SWITCH, DELETE = CODE


@pytest.fixture
def console(alice: Account, client_programs: Path, client_environ: dict[str, str]) -> Iterator[Console]:
    platform = alice.platform
    replaced = {
        "YOUR TOKEN HERE": alice.token,
        "YOURUSERNAME": alice.name,
        '"www.pythonanywhere.com"': f'"localhost:{platform.https}"',
        '"pythonanywhere.com"': '"localhost"',
    }
    environ = {name: client_environ[name] for name in ("PATH", "LANG", "REQUESTS_CA_BUNDLE")}
    made = Console(client_programs / "python", environ, replaced)
    try:
        yield made
    finally:
        assert made.process.stdin
        made.process.stdin.close()
        made.process.wait(30)
        for domain in (alice.domain, "www.page.example"):
            alice.call("DELETE", f"{domain}/")


@pytest.fixture
def fast_venv(alice: Account) -> None:
    """The page's virtual environment and the page's site."""
    make = INSTALL[0].removesuffix(" --python=python3.10")
    alice.shell(f"test -x ~/.virtualenvs/fast_venv/bin/uvicorn || {{ {make} && {INSTALL[1]}; }}")
    alice.write("my_fastapi/main.py", SITE)


def test_the_page_is_what_these_tests_expect() -> None:
    assert INSTALL == [
        "mkvirtualenv fast_venv --python=python3.10",
        'pip install requests "uvicorn[standard]" fastapi',
    ]
    for code, words in (
        (SITE, "from fastapi import FastAPI"),
        (CREATE, "requests.post("),
        (LIST, '"websites/")'),
        (GET, "requests.get("),
        (RELOAD, '/reload")'),
        (SWITCH, '{"enabled": False}'),
        (DELETE, "requests.delete("),
    ):
        assert words in code


@pytest.mark.usefixtures("fast_venv")
def test_the_whole_walk_through(console: Console, alice: Account) -> None:
    platform, domain = alice.platform, alice.domain

    created = ast.literal_eval(console.run(CREATE))
    assert platform.visit(domain).json() == {"message": "Hello from FastAPI"}
    command = "/home/alice/.virtualenvs/fast_venv/bin/uvicorn --uds $DOMAIN_SOCKET my_fastapi.main:app"
    assert (created["domain_name"], created["enabled"], created["user"]) == (domain, True, "alice")
    assert (created["webapp"]["command"], created["webapp"]["domains"]) == (
        command,
        [{"domain_name": domain, "enabled": True}],
    )
    assert type(created["id"]) is type(created["webapp"]["id"]) is int

    listed = ast.literal_eval(console.run(LIST))
    assert [website for website in listed if website["domain_name"] == domain] == [created]
    assert ast.literal_eval(console.run(GET)) == created

    alice.write("my_fastapi/main.py", SITE.replace("Hello from FastAPI", "Hello from newer code"))
    assert console.run(RELOAD) == "<Response [200]>\n"
    assert platform.visit(domain).json() == {"message": "Hello from newer code"}

    alice.write("my_fastapi/main.py", SITE)
    disable, enable = SWITCH.split("# enable:")
    assert console.run(disable) == "<Response [200]>\n"
    assert platform.visit(domain).status_code == 503
    assert console.run(disable + enable) == "<Response [200]>\n<Response [200]>\n"
    assert platform.visit(domain).json() == {"message": "Hello from FastAPI"}

    assert console.run(DELETE) == "<Response [204]>\n"
    assert platform.visit(domain).status_code == 404


@pytest.mark.usefixtures("fast_venv")
def test_a_custom_domain_has_a_cname(console: Console, alice: Account) -> None:
    named = CREATE.replace('f"{username}.{pythonanywhere_domain}"', '"www.page.example"')
    created = ast.literal_eval(console.run(named))
    assert created["webapp"]["domains"] == [
        {"domain_name": "www.page.example", "enabled": True, "cname": f"webapp-{created['id']}.localhost"}
    ]
    assert alice.platform.visit("www.page.example").json() == {"message": "Hello from FastAPI"}
    assert ast.literal_eval(console.run(GET)) == created
    assert console.run(DELETE) == "<Response [204]>\n"
