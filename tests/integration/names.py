"""What the tests of names share: the platform's database written as control does, and a visit as a browser makes it."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
from typing import Any

import httpx

from hereabouts import poke
from hereabouts.errors import PlatformNotRunning
from tests.platform import Platform, wait_for

_PRELUDE = """\
import ctypes, json, os
os.environ["DJANGO_SETTINGS_MODULE"] = "hereabouts.control.settings"
import django
django.setup()
from hereabouts.control.models import Account, Certificate, Domain, Website
ctypes.CDLL(None).setfsuid({uid})
"""


def stored(platform: Platform, statements: str) -> Any:
    """Run statements on the platform's database; what they assign to ``found``."""
    code = _PRELUDE.format(uid=platform.config.control_uid) + "found = None\n" + statements
    done = subprocess.run(
        [sys.executable, "-c", code + "\nprint(json.dumps(found))"], env=platform.environ, cwd=platform.directory,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def change(platform: Platform, website: dict[str, Any], statements: str) -> None:
    """Change what is wanted of a website (``website`` is its row, ``same`` its query) and wait until it is so."""
    stored(platform, f"same = Website.objects.filter(pk={website['id']})\nwebsite = same.get()\n{statements}")
    settle(platform, website)


def settle(platform: Platform, website: dict[str, Any]) -> None:
    """Have the supervisor look at a website, as control does after a change; one that is just starting, too."""

    def settled() -> bool:
        try:
            return poke.settle(platform.config.supervisor_socket, website["id"], 1, 20)
        except PlatformNotRunning:
            return False

    wait_for(settled)


def alias(name: str, *, redirects: bool = False) -> str:
    """The statement that gives a website another name."""
    return f"Domain.objects.create(name={name!r}, website=website, is_main=False, redirects={redirects})"


def browse(platform: Platform, host: str, path: str = "/", method: str = "GET", **options: Any) -> httpx.Response:
    """A visitor's request over HTTPS, who trusts the platform's authorities. Raises httpx.ConnectError."""
    trust = ssl.create_default_context(cafile=str(platform.config.ca_bundle))
    with httpx.Client(verify=trust, timeout=20, http2=options.pop("http2", False)) as client:
        return client.request(
            method, f"https://127.0.0.1:{platform.https}{path}",
            headers={"Host": f"{host}:{platform.https}", **options.pop("headers", {})},
            extensions={"sni_hostname": host}, **options,
        )  # fmt: skip


def raw(platform: Platform, request: bytes) -> bytes:
    """What nginx answers over HTTP to exactly these bytes."""
    with socket.create_connection(("127.0.0.1", platform.http), timeout=20) as connection:
        connection.sendall(request)
        return connection.makefile("rb").read()
