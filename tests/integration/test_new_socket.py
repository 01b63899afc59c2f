"""A server that makes its socket anew while its process goes on: visitors are led there, whoever leaves meanwhile."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.integration.sites import PLAIN, site
from tests.platform import Account, Platform

DOMAIN = "anew-alice.localhost"
COMMAND = "/usr/bin/python3 anew.py $DOMAIN_SOCKET"
ANEW = PLAIN.replace(
    "        self.wfile.write(answer)\n",
    "        if self.path == '/anew':\n            self.server.shutdown()\n        self.wfile.write(answer)\n",
).replace(
    '    Server(os.environ["DOMAIN_SOCKET"], Handler).serve_forever()\n',
    "    while True:\n"
    '        with Server(os.environ["DOMAIN_SOCKET"], Handler) as server:\n'
    "            server.serve_forever()\n"
    '        os.unlink(os.environ["DOMAIN_SOCKET"])\n'
    "        while not os.path.exists('go'):\n            time.sleep(0.01)\n",
)


def test_those_who_wait_for_it_go_on_whoever_leaves(running: Platform, alice: Account) -> None:
    alice.write("anew.py", f"import time\n{ANEW}")
    (alice.home / "go").unlink(missing_ok=True)
    with site(alice, COMMAND, DOMAIN) as website, ThreadPoolExecutor(3) as pool:
        assert website["state"]["status"] == "running", website["state"]
        assert running.visit(DOMAIN, "/anew").status_code == 200
        with pytest.raises(requests.Timeout):
            running.visit(DOMAIN, timeout=0.2)
        began = time.monotonic()
        visits = [pool.submit(running.visit, DOMAIN) for _ in range(3)]
        alice.write("go", "")
        assert [visit.result().status_code for visit in visits] == [200] * 3
        assert time.monotonic() - began < running.config.hold_seconds / 2
