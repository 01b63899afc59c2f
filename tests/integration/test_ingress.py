"""What passes between a visitor and a site: protocols, bodies, headers, pages, logs."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest
import requests
from websockets.sync.client import connect

from hereabouts import poke
from tests.integration.sites import ANSWERS, WAITS, held, newer, site, uvicorn
from tests.platform import Account, Platform, wait_for

DOMAIN = "ingress-alice.localhost"
MB = 1 << 20
SIZE = 200 * MB
PIECE = bytes(range(256)) * 256

SITE = """\
import asyncio, hashlib, json

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

PIECE = bytes(range(256)) * 256
steps = asyncio.Queue()
given = 0


async def told(request):
    return JSONResponse({
        "headers": request.headers.items(), "scheme": request.url.scheme, "client": request.client.host,
        "url": str(request.url), "protocol": request.scope["http_version"],
    })


async def take(request):
    digest, size = hashlib.sha256(), 0
    async for piece in request.stream():
        digest.update(piece)
        size += len(piece)
    return JSONResponse({"sha256": digest.hexdigest(), "size": size, "headers": request.headers.items()})


async def give(request):
    async def pieces():
        global given
        for given in range(int(request.query_params["pieces"])):
            yield PIECE

    headers = {"X-Accel-Buffering": request.query_params.get("buffering", "no")}
    return StreamingResponse(pieces(), media_type="application/octet-stream", headers=headers)


async def told_given(request):
    return PlainTextResponse(str(given))


async def step(request):
    steps.put_nowait(request.path_params["name"])
    return PlainTextResponse("ok")


async def events(request):
    async def each():
        yield "data: begin\\n\\n"
        while (name := await steps.get()) != "end":
            yield f"data: {name}\\n\\n"

    return StreamingResponse(each(), media_type="text/event-stream")


async def talk(socket):
    await socket.accept(subprotocol="talk" if "talk" in socket.scope["subprotocols"] else None)
    await socket.send_json({"scheme": socket.url.scheme, "host": socket.headers["host"], "client": socket.client.host})
    async for message in socket.iter_text():
        await socket.send_text(message[::-1])


async def fail(request):
    raise RuntimeError("a secret of /home/alice")


app = Starlette(routes=[
    Route("/told", told), Route("/take", take, methods=["POST", "PUT"]), Route("/give", give),
    Route("/given", told_given),
    Route("/events", events), Route("/step/{name}", step, methods=["POST"]), Route("/fail", fail),
    WebSocketRoute("/talk", talk),
])
"""


@pytest.fixture(scope="module")
def starlette(alice: Account) -> Iterator[str]:
    """A Starlette site; its domain."""
    alice.write("starlette_site.py", SITE)
    with site(alice, uvicorn("starlette_site"), DOMAIN):
        yield DOMAIN


@pytest.fixture(scope="module")
def trust(running: Platform) -> ssl.SSLContext:
    """The platform's authorities."""
    return ssl.create_default_context(cafile=str(running.config.ca_bundle))


def _connection(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def _client(running: Platform, trust: ssl.SSLContext, **options: Any) -> httpx.Client:
    return httpx.Client(base_url=f"https://127.0.0.1:{running.https}", verify=trust, timeout=20, **options)


def _named(running: Platform, domain: str) -> dict[str, Any]:
    return {"headers": {"Host": f"{domain}:{running.https}"}, "extensions": {"sni_hostname": domain}}


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_websockets(running: Platform, trust: ssl.SSLContext, starlette: str, scheme: str) -> None:
    port, secure = (running.https, {"ssl": trust}) if scheme == "wss" else (running.http, {})
    address = f"{scheme}://{starlette}:{port}/talk"
    with connect(address, sock=_connection(port), subprotocols=["talk"], **secure) as talk:  # type: ignore[list-item]
        assert talk.subprotocol == "talk"
        assert talk.recv(20) == f'{{"scheme":"{scheme}","host":"{starlette}:{port}","client":"127.0.0.1"}}'
        for message in ("hello", "x" * MB):
            talk.send(message)
            assert talk.recv(20) == message[::-1]


def test_events_arrive_one_by_one(running: Platform, starlette: str) -> None:
    with running.visit(starlette, "/events", stream=True) as answer:
        lines = (line for line in answer.iter_lines(chunk_size=1) if line)
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert next(lines) == b"data: begin"
        for name in ("one", "two", "three"):  # each is sent only after the one before has arrived
            running.visit(starlette, f"/step/{name}", "POST")
            assert next(lines) == f"data: {name}".encode()
        running.visit(starlette, "/step/end", "POST")
        assert list(lines) == []


class _Pieces:
    """A body that is made while it is sent."""

    def __init__(self, size: int) -> None:
        self.count, self.digest = size // len(PIECE), hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self.count):
            self.digest.update(PIECE)
            yield PIECE


class _Watched:
    """The most that nginx held of memory and of open temporary files while something went on, over the start."""

    def __init__(self, running: Platform) -> None:
        master = psutil.Process(running.pids()["nginx"])
        self._processes = [master, *master.children()]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._begin = self._memory()
        self.grown, self.files = 0, set[str]()

    def _memory(self) -> int:
        return sum(process.memory_info().rss for process in self._processes)

    def _watch(self) -> None:
        while not self._end.wait(0.02):
            self.grown = max(self.grown, self._memory() - self._begin)
            for process in self._processes:
                self.files |= {file.path for file in process.open_files() if re.search("/(body|proxy)/", file.path)}

    def __enter__(self) -> _Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_upload_streams(running: Platform, starlette: str, chunked: bool) -> None:
    pieces = _Pieces(SIZE)
    headers = {} if chunked else {"Content-Length": str(SIZE)}
    with _Watched(running) as nginx:
        request = requests.Request(
            "POST", f"http://127.0.0.1:{running.http}/take", headers={"Host": starlette}, data=iter(pieces)
        ).prepare()
        if not chunked:
            del request.headers["Transfer-Encoding"]
            request.headers.update(headers)
        answer = requests.Session().send(request, timeout=60)
    assert answer.json()["size"] == SIZE
    assert answer.json()["sha256"] == pieces.digest.hexdigest()
    assert nginx.grown < 16 * MB
    assert nginx.files == set()


def test_a_large_download_streams(running: Platform, starlette: str) -> None:
    digest, size = hashlib.sha256(), 0
    with _Watched(running) as nginx, running.visit(
        starlette, f"/give?pieces={SIZE // len(PIECE)}", stream=True
    ) as answer:  # fmt: skip
        for piece in answer.iter_content(MB):
            digest.update(piece)
            size += len(piece)
    pieces = _Pieces(SIZE)
    assert sum(map(len, pieces)) == size
    assert digest.hexdigest() == pieces.digest.hexdigest()
    assert nginx.grown < 16 * MB
    assert nginx.files == set()


@pytest.mark.parametrize("buffering", ["no", "yes"])
def test_a_visitor_that_reads_slowly_is_not_stored(running: Platform, starlette: str, buffering: str) -> None:
    """Whatever the website tells nginx, whose disk is not the website's."""
    pieces = SIZE // len(PIECE)

    def stands_still() -> bool:
        return len({running.visit(starlette, "/given").text for _ in range(5)}) == 1

    with _Watched(running) as nginx, running.visit(
        starlette, f"/give?pieces={pieces}&buffering={buffering}", stream=True
    ) as answer:  # fmt: skip
        assert len(answer.raw.read(MB)) == MB  # the rest stays unread
        wait_for(stands_still)
        assert int(running.visit(starlette, "/given").text) < pieces - 1
    assert nginx.grown < 16 * MB
    assert nginx.files == set()


def test_small_chunked_bodies(running: Platform, starlette: str) -> None:
    answer = running.visit(starlette, "/take", "PUT", data=iter([b"one", b"two", b"", b"three"]))
    assert answer.json()["size"] == 11
    assert answer.json()["sha256"] == hashlib.sha256(b"onetwothree").hexdigest()


def test_head_has_no_body(running: Platform, alice: Account, starlette: str) -> None:
    with _connection(running.http) as connection:
        connection.sendall(f"HEAD /told HTTP/1.1\r\nHost: {starlette}\r\nConnection: close\r\n\r\n".encode())
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert re.search(rb"(?i)\r\ncontent-length: [1-9]", head)
    assert body == b""


def test_expect_continue(running: Platform, starlette: str) -> None:
    with _connection(running.http) as connection, connection.makefile("rb") as answers:
        head = f"POST /take HTTP/1.1\r\nHost: {starlette}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        assert answers.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert answers.readline() == b"\r\n"
        connection.sendall(b"hello")
        assert answers.readline() == b"HTTP/1.1 200 OK\r\n"


def test_http_2(running: Platform, trust: ssl.SSLContext, starlette: str) -> None:
    with _client(running, trust, http2=True) as client:
        answers = [client.get("/told", **_named(running, starlette)) for _ in range(3)]
        taken = client.post("/take", content=b"hello", **_named(running, starlette))
    assert {(answer.status_code, answer.http_version) for answer in (*answers, taken)} == {(200, "HTTP/2")}
    told = answers[0].json()
    assert (told["scheme"], told["client"], told["protocol"]) == ("https", "127.0.0.1", "1.1")
    assert told["url"] == f"https://{starlette}:{running.https}/told"
    assert taken.json()["size"] == 5


def test_http_1_over_tls(running: Platform, trust: ssl.SSLContext, starlette: str) -> None:
    with _client(running, trust) as client:
        answer = client.get("/told", **_named(running, starlette))
    assert (answer.status_code, answer.http_version, answer.json()["scheme"]) == (200, "HTTP/1.1", "https")


FORGED = {
    "X-Forwarded-For": "6.6.6.6", "X-Real-IP": "6.6.6.6", "X-Forwarded-Proto": "gopher", "X-Forwarded-Port": "666",
    "X-Forwarded-Host": "evil.example", "X-Forwarded-Server": "evil.example", "X-Forwarded-Prefix": "/evil",
    "Forwarded": "for=6.6.6.6;host=evil.example;proto=gopher", "Proxy": "http://evil.example",
    "X-Hereabouts-Until": "0.666",
}  # fmt: skip


def _believed(running: Platform, host: str) -> dict[str, str]:
    return {
        "host": f"{host}:{running.http}",
        "x-forwarded-for": "127.0.0.1",
        "x-real-ip": "127.0.0.1",
        "x-forwarded-proto": "http",
        "x-forwarded-host": f"{host}:{running.http}",
    }


def test_forged_headers_are_not_believed(running: Platform, starlette: str) -> None:
    told = running.visit(starlette, "/told", headers=FORGED).json()
    headers = dict(told["headers"])
    assert headers.items() >= _believed(running, starlette).items()
    assert not re.search("6\\.6\\.6\\.6|evil|gopher|666", str(told))
    assert (told["client"], told["scheme"]) == ("127.0.0.1", "http")


def test_nor_are_they_while_a_site_starts(running: Platform, alice: Account) -> None:
    """A held request takes another way to the site than one that is served at once."""
    alice.write("held_site.py", WAITS + ANSWERS)
    (alice.home / "go").unlink(missing_ok=True)
    domain, told = "held-alice.localhost", []

    def visit() -> None:
        told.append(running.visit(domain, headers=FORGED).json())

    creation = threading.Thread(target=lambda: alice.create(uvicorn("held_site"), domain))
    visitor = threading.Thread(target=visit)
    try:
        creation.start()
        wait_for((running.config.routes / domain).is_symlink)
        visitor.start()
        wait_for(lambda: held(running), what="the request is held")
        alice.write("go", "")
        visitor.join(30)
        creation.join(30)
    finally:
        alice.delete(domain)
        (alice.home / "go").unlink(missing_ok=True)
    assert told[0]["headers"].items() >= _believed(running, domain).items()
    assert not re.search("6\\.6\\.6\\.6|evil|gopher|666", str(told))


@pytest.mark.parametrize("host", ["nobody.localhost", "www.nobody.example", "nobody.localhost.", "x" * 300])
def test_an_unknown_host_has_nothing_yet(running: Platform, host: str) -> None:
    answer = running.visit(host, headers={"Host": host})
    assert answer.status_code == 404
    assert "Nothing here yet" in answer.text
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert not INTERNALS.search(answer.text)


@pytest.mark.parametrize("host", ["..", "a/b", "../live/x", "x y"])
def test_what_is_no_host_name_is_refused(running: Platform, host: str) -> None:
    assert running.visit(host, headers={"Host": host}).status_code == 400


def test_an_unknown_host_over_https(running: Platform, trust: ssl.SSLContext) -> None:
    with _client(running, trust, http2=True) as client:
        named = {"headers": {"Host": "nobody.localhost"}, "extensions": {"sni_hostname": "localhost"}}
        answer = client.get("/", **named)
    assert answer.status_code == 404
    assert "Nothing here yet" in answer.text


def test_a_disabled_site_has_its_page(running: Platform, alice: Account) -> None:
    alice.write("disabled_site.py", ANSWERS)
    with site(alice, uvicorn("disabled_site"), "off-alice.localhost"):
        assert alice.call("PATCH", "off-alice.localhost/", json={"enabled": False}).status_code == 200
        answer = running.visit("off-alice.localhost")
        head = running.visit("off-alice.localhost", method="HEAD")
        posted = running.visit("off-alice.localhost", method="POST", data=b"x" * MB)
    assert (answer.status_code, head.status_code, posted.status_code) == (503, 503, 503)
    assert "This website is switched off" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert head.content == b""


INTERNALS = re.compile(r"nginx|lua|traceback|/home|/run|/var|\.sock|supervisor|upstream|secret", re.IGNORECASE)

RUDE = """\
import os, socket
listener = socket.socket(socket.AF_UNIX)
listener.bind(os.environ["DOMAIN_SOCKET"])
listener.listen(100)
while True:
    connection, _ = listener.accept()
    if connection.recv(65536) and os.path.exists("garbage"):
        connection.sendall(b"HTTP/1.1 200 OK\\r\\n\\0secret garbage of /home/alice\\r\\n\\r\\n")
    connection.close()
"""


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("garbage", [False, True], ids=["silent", "garbage"])
def test_an_error_page_shows_no_internals(running: Platform, alice: Account, method: str, garbage: bool) -> None:
    alice.write("rude.py", RUDE)
    (alice.home / "garbage").unlink(missing_ok=True)
    if garbage:
        alice.write("garbage", "")
    with site(alice, "python3 rude.py $DOMAIN_SOCKET", "rude-alice.localhost") as website:
        assert website["state"]["status"] == "running"
        answer = running.visit("rude-alice.localhost", method=method)
        line = f'"{method} / HTTP/1.1" {answer.status_code} '
        wait_for(lambda: line in alice.log("rude-alice.localhost", "access"), what="the page is in the log")
    assert answer.status_code in (502, 503)
    assert "This website is not working right now" in answer.text
    assert not INTERNALS.search(answer.text)
    assert not INTERNALS.search(str(dict(answer.headers) | {"Server": ""}))
    assert not re.search(r"\d", answer.headers["Server"]), "no version"
    log = running.config.logs / "platform" / "nginx.log"
    wait_for(lambda: "rude-alice.localhost" in log.read_text(encoding="utf-8"), what="nginx complains")
    health = json.loads(poke.ask(running.config.supervisor_socket, "health", seconds=10))
    assert not [each for each in health["errors"] if "rude-alice" in each["line"]], "that is no error of the platform"


def test_a_failing_app_answers_for_itself(running: Platform, starlette: str) -> None:
    answer = running.visit(starlette, "/fail")
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert "Server" not in answer.headers or "nginx/" not in answer.headers["Server"]


LINE = re.compile(
    r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "(?P<request>[^"]*)" (?P<status>\d{3}) '
    r'(?P<size>\d+) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)" "127\.0\.0\.1" response-time=\d+\.\d{3}'
)


def test_logs_have_their_lines_and_follow_through_a_reload(running: Platform, alice: Account) -> None:
    domain = "logs-alice.localhost"
    alice.write("logged.py", ANSWERS)
    with site(alice, uvicorn("logged"), domain):
        first = running.visit(domain, "/say?first", headers={"User-Agent": "curl/8", "Referer": "http://from.example/"})
        alice.write("logged.py", newer(ANSWERS))
        assert alice.call("POST", f"{domain}/reload/").status_code == 200
        second = running.visit(domain, "/say?second", "POST", data=b"hello", headers={"User-Agent": 'a "quote"'})
        wait_for(lambda: alice.log(domain, "access").count("\n") == 2, what="two lines in the access log")
        lines = [LINE.fullmatch(line) for line in alice.log(domain, "access").splitlines()]
        output, errors = alice.log(domain, "server"), alice.log(domain, "error")
        seen = alice.shell(f"cat /var/log/{domain}.access.log").stdout
    assert (first.json()["version"], second.json()["version"]) == ("one", "the newer one")
    assert all(lines), alice.log(domain, "access")
    assert [line and line.groupdict() for line in lines] == [
        {
            "request": "GET /say?first HTTP/1.1", "status": "200", "size": str(len(first.content)),
            "referer": "http://from.example/", "agent": "curl/8",
        },
        {
            "request": "POST /say?second HTTP/1.1", "status": "200", "size": str(len(second.content)),
            "referer": "-", "agent": "a \\x22quote\\x22",
        },
    ]  # fmt: skip
    assert (output.index("said first"), output.index("said second")) == tuple(
        sorted(map(output.index, ("said first", "said second")))
    )
    assert errors.index("complained first") < errors.index("complained second")
    assert "complained" not in output
    assert "said" not in errors.replace("[hereabouts]", "")
    assert seen.count("\n") == 2
