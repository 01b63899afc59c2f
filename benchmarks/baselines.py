"""What visitors would meet without Hereabouts: nginx or Caddy with a fixed upstream, or the bare process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from tests.platform import free_port

from benchmarks.machine import program, running, wait_port
from benchmarks.stage import Stage
from hereabouts.files import directory

# As the ingress, line by line, but for who serves whom, and how long a connection to a server may idle.
_NGINX = """\
user {user};
worker_processes auto;
worker_rlimit_nofile 65536;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    tcp_nodelay on;
    server_tokens off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/unused;
    uwsgi_temp_path {directory}/unused;
    scgi_temp_path {directory}/unused;
    log_format site '$remote_addr - - [$time_local] "$request" $status $body_bytes_sent '
                    '"$http_referer" "$http_user_agent" "$remote_addr" response-time=$request_time';
    map $http_upgrade $connection_to_site {{ default upgrade; "" ""; }}
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_to_site;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header X-Forwarded-Port $server_port;
    proxy_buffering off;
    proxy_request_buffering off;
    proxy_buffer_size 32k;
    proxy_buffers 4 32k;
{servers}
}}
"""
_NGINX_SERVER = """\
    upstream site{number} {{
        server unix:{socket};
        keepalive 1024;
        keepalive_requests 100000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        access_log {directory}/access.log site;
        location / {{ proxy_pass http://site{number}; }}
    }}
"""
_CADDY = """\
{{
    admin off
    auto_https off
    persist_config off
}}
http://:{port} {{
    bind 127.0.0.1
    reverse_proxy unix/{socket}
}}
"""


@contextmanager
def nginx(stage: Stage, sockets: list[Path]) -> Iterator[tuple[psutil.Process, list[int]]]:
    """nginx with each socket as the fixed upstream of a port: its master process, and the ports."""
    where = directory(stage.scratch / f"nginx-{free_port()}", mode=0o755)
    ports = [free_port() for _ in sockets]
    servers = "".join(
        _NGINX_SERVER.format(number=number, socket=socket, port=port, directory=where)
        for number, (socket, port) in enumerate(zip(sockets, ports, strict=True))
    )
    config = where / "nginx.conf"
    config.write_text(_NGINX.format(user=stage.platform.config.nginx_user, directory=where, servers=servers))
    argv = [program(stage.platform.config.nginx), "-c", str(config), "-e", str(where / "error.log")]
    log = where / "output.log"
    with running(argv, log=log) as master:
        for port in ports:
            wait_port(port, log)
        yield master, ports


@contextmanager
def caddy(stage: Stage, socket: Path) -> Iterator[int]:
    """Caddy with the socket as its fixed upstream: its port. It writes no access log."""
    port = free_port()
    where = directory(stage.scratch / f"caddy-{port}", mode=0o755)
    config = where / "Caddyfile"
    config.write_text(_CADDY.format(port=port, socket=socket))
    log = where / "output.log"
    environ = {"HOME": str(where), "PATH": "/usr/bin:/bin"}
    argv = [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(config)]
    with running(argv, log=log, environ=environ):
        wait_port(port, log)
        yield port


@contextmanager
def bare(stage: Stage) -> Iterator[int]:
    """The FastAPI website's process alone, on a port."""
    port = free_port()
    log = stage.scratch / f"bare-{port}.log"
    argv = stage.bare("--host", "127.0.0.1", "--port", str(port), "hello:app")
    environ = {"HOME": str(stage.account.home), "PATH": "/usr/bin:/bin"}
    with running(argv, log=log, uid=stage.uid, cwd=stage.account.home, environ=environ):
        wait_port(port, log)
        yield port
