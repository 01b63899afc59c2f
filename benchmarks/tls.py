"""TLS at the ingress, where Lua finds the certificate, against nginx with one certificate in its configuration.

The clients' side of a handshake costs more than the server's, so on a machine of few cores whoever makes the load is
the bottleneck. Compared is therefore what does not depend on that: handshakes per second of processor time that
nginx's processes use. The load comes from an nginx of its own, whose Lua sockets make thousands of handshakes a second
and name another host in each; wrk and `openssl s_time` name one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import httpx
import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.platform import free_port, wait_for

from benchmarks import load
from benchmarks.machine import program, running, wait_port
from benchmarks.report import Row
from benchmarks.stage import Stage
from hereabouts.core import pem
from hereabouts.daemons.ingress import modules
from hereabouts.files import directory
from hereabouts.sandbox.homes import nginx_ids

_MANY = 10_000
_PATTERN = "n%d.handshakes.example"
_CLIENTS = 32
_ROUND_SECONDS = 0.4
_SERVER = """\
user {user};
worker_processes auto;
worker_rlimit_nofile 65536;
daemon off;
pid {where}/nginx.pid;
error_log {where}/error.log warn;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {where}/unused;
    proxy_temp_path {where}/unused;
    fastcgi_temp_path {where}/unused;
    uwsgi_temp_path {where}/unused;
    scgi_temp_path {where}/unused;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ecdh_curve X25519:prime256v1:secp384r1;
    ssl_session_cache shared:tls:10m;
    ssl_session_timeout 1d;
    ssl_session_tickets off;
    server {{
        listen 127.0.0.1:{port} ssl http2 backlog=4096;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        location / {{ return 204; }}
    }}
}}
"""
_LOAD = """\
user {user};
worker_processes 1;
worker_rlimit_nofile 65536;
daemon off;
pid {where}/nginx.pid;
error_log {where}/error.log warn;
load_module {modules}/ndk_http_module.so;
load_module {modules}/ngx_http_lua_module.so;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {where}/unused;
    proxy_temp_path {where}/unused;
    fastcgi_temp_path {where}/unused;
    uwsgi_temp_path {where}/unused;
    scgi_temp_path {where}/unused;
    lua_package_path "{lua}/?.lua;;";
    lua_socket_log_errors off;
    server {{
        listen 127.0.0.1:{port};
        location / {{ content_by_lua_block {{ require("handshakes").run() }} }}
    }}
}}
"""


def run(stage: Stage) -> list[Row]:
    """Handshakes with one certificate and with many in turn with plain nginx, then requests with and without TLS."""
    return [*_handshakes(stage), _requests(stage)]


def _handshakes(stage: Stage) -> list[Row]:
    ours, at = stage.platform.pids()["nginx"], stage.platform.https
    _sign(stage, 1)
    with _plain(stage) as (plain, port), _load(stage) as generator:
        one = _in_turns(stage, generator, (ours, at, 1), (plain, port, 1))
        stage.say(f"Signing {_MANY:,} certificates, and showing each worker of nginx all of their names")
        _sign(stage, _MANY)
        before = _cpu(ours)
        first = _show_all(generator, ours, at) / (_cpu(ours) - before)
        many = _in_turns(stage, generator, (ours, at, _MANY), (plain, port, 1))
    usual = median(each for _, each in many[1])
    return [
        _compared("one certificate", *one, 0.9),
        _compared(f"{_MANY:,} certificates", *many, 0.85),
        Row(
            f"TLS: the first handshake with each of {_MANY:,} names in a worker, which reads the certificate",
            f"{1e6 / first:,.0f} µs of nginx's processor time", f"{1e6 / usual:,.0f} µs, nginx with one in its "
            "configuration", f"{usual / first:.1f} times as much", "for information", True,
        ),
    ]  # fmt: skip


_Target = tuple[int, int, int]
"""nginx's master process, its port, how many names to ask for."""
_Rates = list[tuple[float, float]]
"""Handshakes a second, and a second of processor time."""


def _in_turns(stage: Stage, generator: int, ours: _Target, plain: _Target) -> tuple[_Rates, _Rates]:
    """Many short rounds, whatever else runs here comes and goes; who begins changes from one to the next."""
    rounds, found = 12 * stage.rounds, {ours: _Rates(), plain: _Rates()}
    for number in range(rounds + 1):
        stage.say(f"TLS handshakes with names of {ours[2]:,}, round {number} of {rounds}")
        for target in (ours, plain) if number % 2 else (plain, ours):
            found[target].append(_load_with(generator, *target, seconds=_ROUND_SECONDS))
    return found[ours][1:], found[plain][1:]


def _compared(what: str, ours: _Rates, plain: _Rates, low: float) -> Row:
    ratio = median(a[1] / b[1] for a, b in zip(ours, plain, strict=True))
    return Row(
        f"TLS: full handshakes per second of nginx's processor time, {what}, against nginx with one in its "
        "configuration", _told(ours), _told(plain), f"{ratio:.3f}", f"≥ {low:g}", ratio >= low,
    )  # fmt: skip


def _told(found: _Rates) -> str:
    rate, each = (median(values) for values in zip(*found, strict=True))
    return f"{each:,.0f} ({1e6 / each:,.0f} µs each; {rate:,.0f}/s, load included)"


def _cpu(leader: int) -> float:
    """The processor time of nginx's workers to the nanosecond: each is one thread."""
    workers = psutil.Process(leader).children()
    return sum(int(Path(f"/proc/{each.pid}/schedstat").read_text().split()[0]) for each in workers) / 1e9


def _show_all(generator: int, leader: int, port: int) -> int:
    """One handshake with each name for each worker: a first one reads the certificate. Returns how many there were."""
    done, workers = 0, psutil.Process(leader).children()
    for chosen in workers:
        others = [worker for worker in workers if worker != chosen]
        for worker in others:
            worker.suspend()
        try:
            done += _ask(generator, port, _MANY, seconds=300, most=_MANY + _CLIENTS)
        finally:
            for worker in others:
                worker.resume()
    return done


def _load_with(generator: int, leader: int, port: int, names: int, *, seconds: float) -> tuple[float, float]:
    """Handshakes a second, and a second of processor time."""
    before = _cpu(leader)
    done = _ask(generator, port, names, seconds=seconds, most=1 << 30)
    return done / seconds, done / (_cpu(leader) - before)


def _ask(generator: int, port: int, names: int, *, seconds: float, most: int) -> int:
    query = {"port": port, "names": names, "seconds": seconds, "most": most, "clients": _CLIENTS, "pattern": _PATTERN}
    answer = httpx.get(f"http://127.0.0.1:{generator}/", params=query, timeout=seconds + 60).text.strip()
    if not answer.isdigit():
        raise RuntimeError(f"a handshake failed: {answer}")
    return int(answer)


def _requests(stage: Stage) -> Row:
    """The same site over HTTP and HTTPS."""
    rates: dict[bool, list[float]] = {False: [], True: []}
    with stage.website("hello", stage.hello()) as domain:
        for number in range(stage.rounds + 1):
            stage.say(f"Requests over HTTPS and HTTP, round {number} of {stage.rounds}")
            for secure in (True, False):
                port = stage.platform.https if secure else stage.platform.http
                rates[secure].append(load.run(port, domain, clients=_CLIENTS, seconds=2, secure=secure).rate)
    ratio = median(a / b for a, b in list(zip(rates[True], rates[False], strict=True))[1:])
    return Row(
        f"Throughput over HTTPS against HTTP: FastAPI hello, {_CLIENTS} keep-alive clients",
        f"{median(rates[True][1:]):,.0f} requests/s",
        f"{median(rates[False][1:]):,.0f} requests/s",
        f"{ratio:.2f}",
        "≥ 0.85",
        ratio >= 0.85,
    )


def _sign(stage: Stage, count: int) -> None:
    """A certificate with a key of its own for each name, of one scratch authority, where the ingress looks for them."""
    authority = ec.generate_private_key(ec.SECP256R1())
    root = _certificate("a scratch authority", authority, "a scratch authority", authority)
    chain = root.public_bytes(serialization.Encoding.PEM)
    own = directory(stage.platform.config.certificates / "own", mode=0o711)
    owner = nginx_ids(stage.platform.config)
    for number in range(count):
        name, key = _PATTERN % number, ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(name, key, "a scratch authority", authority)
        path = own / f"{name}.pem"
        path.write_bytes(pem.key_pem(key) + certificate.public_bytes(serialization.Encoding.PEM) + chain)
        os.chown(path, *owner)


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name.replace(" ", "-"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=key is signer, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )


@contextmanager
def _plain(stage: Stage) -> Iterator[tuple[int, int]]:
    """nginx with one of these certificates in its configuration: its master process, and its port."""
    certificate = stage.platform.config.certificates / "own" / f"{_PATTERN % 0}.pem"
    with _nginx(stage, _SERVER, certificate=certificate) as found:
        yield found


@contextmanager
def _load(stage: Stage) -> Iterator[int]:
    """Where the load is asked for."""
    with _nginx(stage, _LOAD, modules=modules(), lua=Path(__file__).parent) as (_, port):
        yield port


@contextmanager
def _nginx(stage: Stage, template: str, **values: object) -> Iterator[tuple[int, int]]:
    port = free_port()
    where = directory(stage.scratch / f"nginx-{port}")
    config, log = where / "nginx.conf", where / "output.log"
    config.write_text(template.format(user=stage.platform.config.nginx_user, where=where, port=port, **values))
    argv = [program(stage.platform.config.nginx), "-c", str(config), "-e", str(where / "error.log")]
    with running(argv, log=log) as master:
        wait_port(port, log)
        wait_for(master.children, 10, "nginx's workers")
        yield master.pid, port
