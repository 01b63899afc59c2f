"""From nothing to a website that serves: for each framework the commands, the files, the website's command."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UVICORN = '"uvicorn[standard]"'


@dataclass(frozen=True, slots=True)
class File:
    """A file to create; with ``added``, text to put at the end of one that a command has made."""

    path: str
    text: str
    added: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to type in a console, which files to make, and the command of the website."""

    framework: str
    shell: str
    files: tuple[File, ...]
    command: str


@dataclass(frozen=True, slots=True)
class _Framework:
    name: str
    packages: str = ""
    code: str = ""
    file: str = "main.py"


_FRAMEWORKS = {
    "fastapi": _Framework(
        "FastAPI",
        f"fastapi {_UVICORN}",
        """\
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root():
    return {"message": "Hello from FastAPI"}
""",
    ),
    "starlette": _Framework(
        "Starlette",
        f"starlette {_UVICORN}",
        """\
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def root(request):
    return JSONResponse({"message": "Hello from Starlette"})


app = Starlette(routes=[Route("/", root)])
""",
    ),
    "fasthtml": _Framework(
        "FastHTML",
        "python-fasthtml",
        """\
from fasthtml.common import P, Titled, fast_app

app, rt = fast_app()


@rt("/")
def get():
    return Titled("Hello", P("Hello from FastHTML"))
""",
    ),
    "django": _Framework("Django", f"django {_UVICORN}"),
    "litestar": _Framework(
        "Litestar",
        f"litestar {_UVICORN}",
        """\
from litestar import Litestar, get


@get("/")
async def root() -> dict[str, str]:
    return {"message": "Hello from Litestar"}


app = Litestar([root])
""",
    ),
    "quart": _Framework(
        "Quart",
        f"quart {_UVICORN}",
        """\
from quart import Quart

app = Quart(__name__)


@app.get("/")
async def root():
    return {"message": "Hello from Quart"}
""",
    ),
    "flask": _Framework(
        "Flask",
        "flask gunicorn",
        """\
from flask import Flask

app = Flask(__name__)


@app.get("/")
def root():
    return {"message": "Hello from Flask"}
""",
    ),
    "node": _Framework(
        "Node",
        code="""\
const http = require("node:http");

http.createServer((request, response) => {
  response.end("Hello from Node\\n");
}).listen(process.env.DOMAIN_SOCKET);
process.on("SIGTERM", () => process.exit());
""",
        file="server.js",
    ),
    "own": _Framework("Own command"),
}

FRAMEWORKS = tuple((key, framework.name) for key, framework in _FRAMEWORKS.items())
"""What can be chosen: (key, name)."""


def project(domain: str, sites_domain: str) -> str:
    """A directory for a website of this name, as docs call theirs: ``my_`` and the name, fit for a Python module."""
    label = domain.strip().lower().removesuffix(f".{sites_domain}")
    return "my_" + (re.sub(r"[^a-z0-9]+", "_", label).strip("_")[:40].strip("_") or "website")


def recipe(key: str, account: str, domain: str, sites_domain: str) -> Recipe:
    """The way to a website of this framework; an unknown one is the own command."""
    framework = _FRAMEWORKS.get(key, _FRAMEWORKS["own"])
    name = project(domain, sites_domain)
    place = f"/home/{account}/.virtualenvs/{name}/bin"
    uvicorn = f"{place}/uvicorn --uds $DOMAIN_SOCKET --no-access-log"
    shell = f"mkvirtualenv {name}\npip install {framework.packages}\n" if framework.packages else ""
    if key == "django":
        return Recipe(
            framework.name,
            f"{shell}mkdir -p ~/{name}\ndjango-admin startproject {name} ~/{name}\n",
            (File(f"~/{name}/{name}/settings.py", _django_settings(domain), added=True),),
            f"{uvicorn} --lifespan off --app-dir {name} {name}.asgi:application",
        )
    if not framework.code:
        return Recipe(framework.name, "", (), "")
    shell += f"mkdir -p ~/{name}\n"
    files = (File(f"~/{name}/{framework.file}", framework.code),)
    if key == "node":
        command = f"node {name}/{framework.file}"
    elif key == "flask":
        command = f"{place}/gunicorn --bind unix:$DOMAIN_SOCKET --worker-class gthread --threads 8 {name}.main:app"
    else:
        command = f"{uvicorn} {name}.main:app"
    return Recipe(framework.name, shell, files, command)


def _django_settings(domain: str) -> str:
    host = domain.strip().lower()
    if not re.fullmatch(r"[a-z0-9.-]+", host):  # it becomes code
        host = "www.example.com"
    return f"""\
ALLOWED_HOSTS = ["{host}"]
CSRF_TRUSTED_ORIGINS = ["https://{host}"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
"""
