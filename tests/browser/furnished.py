"""A platform with something of everything that the dashboard can show, for tests of its pages and for pictures."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from hereabouts.core import metrics
from hereabouts.core.metrics import COARSE, FINE, Ring, Sample
from tests.authority import Authority
from tests.browser.conftest import PASSWORD
from tests.certified import Stage, staged
from tests.integration.sites import PLAIN
from tests.platform import Platform, wait_for

SHOP, BROKEN, RESTING = "shop-alice.localhost", "draft-alice.localhost", "winter-alice.localhost"
STARTING, ALIAS = "spring-alice.localhost", "store-alice.localhost"
CERTIFIED, ASTRAY, OTHERS = "www.shop.test", "shop.test", "www.taken.test"
_SERVER = "/usr/bin/python3 shop.py $DOMAIN_SOCKET"
_NOWHERE = "192.0.2.1"
_CROWD = 101
# Through control's own functions, all in one process.
_FURNISH = """\
import json, sys, time
import django
django.setup()
import pyotp
from hereabouts.control import accounts, asking, certificates, domains, second_factor, services
from hereabouts.control.models import Certificate
given = json.load(sys.stdin)
for name in ("nina", "maya", "tessa", "theo", "sam", "olivia"):
    accounts.create(name, given["password"], operator=name == "olivia")
accounts.suspend(services.find_account("sam"))
theo = services.find_account("theo")
second_factor.turn_on(theo, pyotp.TOTP(second_factor.secret(second_factor.begin(theo))).now())
alice, shop = services.find_account("alice"), services.find_website(None, given["shop"])
services.create_website(alice, given["starting"], {"command": "sleep 3600"})
resting = services.create_website(alice, given["resting"], {"command": given["server"]}, enabled=False)
services.create_website(services.find_account("maya"), given["others"], {"command": "true"}, enabled=False)
certificates.upload(domains.add(shop, given["alias"], redirects=True), given["cert"], given["key"])
certificates.order(domains.add(shop, given["certified"]))
astray = domains.add(resting, given["astray"])
asking.look(astray.name)
Certificate.objects.create(name=astray.name, domain=astray, kind="letsencrypt-auto-renew")
"""
_CROWDED = """\
import sys
import django
django.setup()
from django.db import transaction
from hereabouts.control import services
maya = services.find_account("maya")
with transaction.atomic():
    for number in range(services.websites(maya).count(), int(sys.argv[1])):
        services.create_website(maya, f"site{number:03}-maya.localhost", {"command": "true"}, enabled=False)
"""


@contextmanager
def furnished() -> Iterator[Stage]:
    """Such a platform, with a certificate authority, where visitors may make accounts."""
    with staged(settings={"SIGN_UP": "true", "START_SECONDS": "3000"}, direct=True) as made:
        alice = made.platform.account("alice")
        alice.write("shop.py", PLAIN)
        shop = alice.create(_SERVER, SHOP)
        alice.create("/home/alice/.virtualenvs/draft/bin/uvicorn --uds $DOMAIN_SOCKET draft:app", BROKEN)
        made.pebble.names.lead(ASTRAY, _NOWHERE)
        cert, key = Authority("Example CA").sign(ALIAS)
        given = {
            "password": PASSWORD, "shop": SHOP, "server": _SERVER, "starting": STARTING, "resting": RESTING,
            "others": OTHERS, "alias": ALIAS, "certified": CERTIFIED, "astray": ASTRAY, "cert": cert, "key": key,
        }  # fmt: skip
        made.run(_FURNISH, stdin=json.dumps(given))
        for number in range(30):
            made.platform.visit(SHOP, f"/basket/{number}")
        with (made.platform.config.logs / "alice" / f"{SHOP}.error.log").open("a") as log:
            log.write("a long line: " + "x" * 300 + "\n")
        invent(made.platform, shop["id"])
        wait_for(lambda: made.row(ASTRAY)["problem"], what=f"the order for {ASTRAY} to fail")
        wait_for(lambda: alice.get(BROKEN)["state"]["status"] == "crashed", 60, f"{BROKEN} to be crashed")
        yield made


def crowd(made: Stage) -> None:
    """So many websites for maya, if she has them not yet, that her list has a second page."""
    made.run(_CROWDED, str(_CROWD))


@contextmanager
def broken(made: Stage) -> Iterator[None]:
    """A fault of the platform's own: meanwhile the audit log has an entry of a day that there is not."""
    with closing(sqlite3.connect(made.platform.config.sqlite_file, timeout=10, isolation_level=None)) as database:
        database.execute(
            "INSERT INTO control_auditentry (at, actor, action, target, detail, address, way) "
            "VALUES ('2026-99-99 00:00:00', 'fault', 'account.create', '', '', '', 'platform')"
        )
        try:
            yield
        finally:
            database.execute("DELETE FROM control_auditentry WHERE actor = 'fault'")


@contextmanager
def unattended(made: Stage) -> Iterator[None]:
    """Meanwhile the supervisor does not answer."""
    made.send("supervisor", signal.SIGSTOP)
    try:
        yield
    finally:
        made.send("supervisor", signal.SIGCONT)


def invent(made: Platform, website: int) -> None:
    """A month of traffic in the website's file."""
    path = made.config.metrics / str(website)
    path.touch(0o640)
    os.chown(path, 0, made.config.control_uid)
    chance = random.Random(1)
    now = int(time.time())
    with path.open("r+b", buffering=0) as file:
        for ring in (FINE, COARSE):
            for at in range(ring.begin(now) - (ring.slots - 1) * ring.step, ring.begin(now), ring.step):
                os.pwrite(file.fileno(), metrics.pack(_sample(ring, at, chance)), ring.place(at))


def _sample(ring: Ring, at: int, chance: random.Random) -> Sample:
    day = (1 - math.cos((at % 86_400) / 86_400 * 2 * math.pi)) / 2
    rate = (1.5 + 14 * day**2) * chance.uniform(0.85, 1.2)
    count = round(rate * ring.step)
    slow = 1 + 3 * (chance.random() < 0.01)
    shares = (0.1, 0.22, 0.34, 0.2, 0.08, 0.04, 0.015 * slow, 0.004 * slow, 0.001, 0, 0, 0, 0)
    return Sample(
        at=at,
        seconds=ring.step,
        answers=(0, count, count // 12, count // 40, 1 if chance.random() < 0.02 else 0),
        bytes_out=count * 18_000,
        latency=tuple(round(count * share) for share in shares),
        connections=round(rate * 0.2),
        cpu_seconds=ring.step * rate * 0.004,
        memory_bytes=round((58 + 9 * day) * 1_048_576),
    )
