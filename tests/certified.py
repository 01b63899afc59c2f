"""A platform whose certificate authority is a real Pebble, for tests and benchmarks."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from hereabouts import poke
from hereabouts.daemons.environ import environment
from tests.pebble import Door, Pebble, door, pebble
from tests.platform import Platform, platform

_NUMBERS = count(1)
_WANT = """\
import json, sys
import django
django.setup()
from hereabouts.control.models import Account, Certificate, Domain, Website
for name in json.loads(sys.argv[1]):
    account, _ = Account.objects.get_or_create(username="carol", defaults={"uid": 709_999})
    website = Website.objects.create(account=account, command="true", enabled=False)
    domain = Domain.objects.create(name=name, website=website, is_main=True)
    Certificate.objects.create(name=name, domain=domain, kind="letsencrypt-auto-renew")
    print(website.pk)
"""
_ROWS = """\
import json, sys
import django
django.setup()
from hereabouts.control.models import Certificate
rows = Certificate.objects.filter(name__in=json.loads(sys.argv[1])) if len(sys.argv) > 1 else Certificate.objects.all()
print(json.dumps({row.pop("name"): row for row in rows.values()}))
"""
_CHANGE = """\
import json, sys
import django
django.setup()
from hereabouts.control.models import Certificate, Domain, Website
name, changes = sys.argv[1], json.loads(sys.argv[2])
if changes is None:
    Website.objects.filter(domains__name=name).delete()
else:
    Certificate.objects.filter(name=name).update(**changes)
"""


@dataclass
class Stage:
    """The platform with its authority, and the door between them."""

    platform: Platform
    pebble: Pebble
    door: Door
    websites: dict[str, int] = field(default_factory=dict)

    def run(self, code: str, *words: str, stdin: str = "") -> str:
        """Python with Django, as the user that control is."""
        uid = self.platform.config.control_uid
        done = subprocess.run(
            [sys.executable, "-c", code, *words], env=environment(self.platform.config), cwd="/", text=True, check=True,
            user=uid, group=uid, extra_groups=[], stdout=subprocess.PIPE, input=stdin,
        )  # fmt: skip
        return done.stdout

    def fresh(self) -> str:
        """A name that no test has had."""
        return f"www{next(_NUMBERS)}.example.org"

    def want(self, *names: str) -> None:
        """Websites with these domains, and certificates for them."""
        ids = self.run(_WANT, json.dumps(names)).split()
        self.websites.update(zip(names, map(int, ids), strict=True))

    def rows(self, *names: str) -> dict[str, dict[str, Any]]:
        """What the database holds of certificates, by name."""
        found: dict[str, dict[str, Any]] = json.loads(self.run(_ROWS, json.dumps(names)))
        return found

    def row(self, name: str) -> dict[str, Any]:
        return self.rows(name)[name]

    def change(self, name: str, **changes: Any) -> None:
        self.run(_CHANGE, name, json.dumps(changes))

    def delete(self, name: str) -> None:
        self.run(_CHANGE, name, "null")

    def ask(self, line: str, seconds: float = 90) -> dict[str, Any]:
        """A question to the certificates process."""
        return poke.inquire(self.platform.config.certificates_socket, line, seconds=seconds)

    def issue(self, name: str, seconds: float = 60) -> dict[str, Any]:
        return self.ask(f"issue {name} {seconds:g}", seconds + 5)

    def shown(self, name: str) -> x509.Certificate | None:
        """What a visitor is shown now; None where he is refused."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with (
                socket.create_connection(("127.0.0.1", self.platform.https), timeout=10) as plain,
                context.wrap_socket(plain, server_hostname=name) as connection,
            ):
                found = connection.getpeercert(binary_form=True)
        except (ssl.SSLError, ConnectionResetError):
            return None
        return x509.load_der_x509_certificate(found) if found else None

    def certified(self, name: str) -> bool:
        """Whether what is shown is the authority's, not the local one's."""
        found = self.shown(name)
        return found is not None and "Pebble" in found.issuer.rfc4514_string()

    def fingerprint(self, name: str) -> str:
        found = self.shown(name)
        return found.fingerprint(hashes.SHA256()).hex() if found else ""

    def trusted(self, name: str) -> None:
        """A visitor who trusts the authority is served; ssl.SSLError if not."""
        context = ssl.create_default_context(cadata=self.pebble.root())
        with socket.create_connection(("127.0.0.1", self.platform.https), timeout=10) as plain:
            context.wrap_socket(plain, server_hostname=name).close()

    def send(self, name: str, number: signal.Signals) -> None:
        """A signal to a process of the platform, and to nginx's workers."""
        leader = psutil.Process(self.platform.pids()[name])
        for process in [leader, *(leader.children() if name == "nginx" else [])]:
            process.send_signal(number)

    def log(self) -> str:
        return (self.platform.config.logs / "platform" / "certificates.log").read_text(encoding="utf-8")

    def orders(self) -> int:
        """How many orders the authority has taken. It refuses some nonces by chance, and is asked again then."""
        return self.door.taken.count("/order-plz")

    def open(self) -> None:
        """Let everything through again."""
        self.door.rule = lambda _: None
        self.door.window = None


@contextmanager
def staged(
    *, validity: int = 90 * 86_400, settings: dict[str, str] | None = None, direct: bool = False, **environ: str
) -> Iterator[Stage]:
    """A platform of its own with an authority of its own; ``direct`` passes by the door."""
    with tempfile.TemporaryDirectory(prefix="pebble-") as place:
        Path(place).chmod(0o755)
        with pebble(Path(place), validity=validity, **environ) as authority, door(authority) as before:
            wanted = {
                "ACME_DIRECTORY": authority.url if direct else before.url, "ACME_TRUST": str(authority.trust),
                "ADDRESSES": "127.0.0.1", "RESOLVERS": authority.names.address, **(settings or {}),
            }  # fmt: skip
            with platform(**wanted) as made:
                authority.http_port = made.http
                authority.start()
                yield Stage(made, authority, before)
