"""Certificates and domains through the API of a running platform, whose authority is a real Pebble."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
import requests

from tests.authority import Authority
from tests.certified import Stage
from tests.integration.sites import PLAIN
from tests.pebble import Request
from tests.platform import Account, wait_for

COMMAND = "exec python3 server.py"
ORDER = {"cert_type": "letsencrypt-auto-renew"}


@pytest.fixture(scope="module")
def pia(shared: Stage) -> Account:
    made = shared.platform.account("pia")
    made.write("server.py", PLAIN)
    return made


@pytest.fixture(scope="module")
def paul(shared: Stage) -> Account:
    made = shared.platform.account("paul")
    made.write("server.py", PLAIN)
    return made


@pytest.fixture(autouse=True)
def no_websites(pia: Account, paul: Account) -> Iterator[None]:
    yield
    for account in (pia, paul):
        for website in account.call("GET").json():
            account.delete(website["domain_name"])


def ssl(account: Account, method: str, domain: str, **kwargs: Any) -> requests.Response:
    url = f"{account.platform.api}/api/v1/user/{account.name}/domains/{domain}/ssl/"
    return account.session.request(method, url, timeout=120, **kwargs)


def test_an_order_and_its_end(stage: Stage, pia: Account) -> None:
    name, other = stage.fresh(), stage.fresh()
    pia.create(COMMAND, name)
    pia.call("POST", f"{name}/domains/", json={"domain_name": other, "redirect": True})
    for domain in (name, other):
        answer = ssl(pia, "POST", domain, json=ORDER)
        assert (answer.status_code, answer.json()) == (200, {"status": "OK"})
        stage.trusted(domain)
        found = ssl(pia, "GET", domain).json()
        assert (found["cert_type"], found["subject_alternate_names"]) == (ORDER["cert_type"], [domain])
        assert found["issuer_name"].startswith("Pebble Intermediate CA")
        assert found["renewal"]["problem"] is None
    listed = {each["name"]: each for each in json.loads(stage.platform.cli("certificates", "--json").stdout)}
    assert (listed[name]["kind"], listed[name]["days_left"]) == ("letsencrypt", 89)
    before = stage.orders()
    assert ssl(pia, "POST", name, json=ORDER).status_code == 200
    assert stage.orders() == before  # it is good, and not due
    assert ssl(pia, "DELETE", name).status_code == 204
    with pytest.raises(Exception, match="certificate verify failed"):
        stage.trusted(name)
    assert pia.call("DELETE", f"{name}/domains/{other}/").status_code == 204
    wait_for(lambda: stage.shown(other) is None, 10, "no certificate for a name that is gone")


def test_a_name_that_leads_elsewhere(stage: Stage, pia: Account) -> None:
    name = stage.fresh()
    stage.pebble.names.lead(name, "192.0.2.9")
    detail = pia.create(COMMAND, name)["state"]["detail"]
    assert name in detail
    assert "192.0.2.9" in detail
    before = stage.orders()
    answer = ssl(pia, "POST", name, json=ORDER)
    assert answer.status_code == 400
    assert "192.0.2.9" in answer.json()["detail"]
    assert stage.orders() == before
    assert ssl(pia, "GET", name).status_code == 404
    status = json.loads(stage.platform.cli("status", "--json").stdout)["websites"]
    assert next(website["detail"] for website in status if website["domain"] == name) == detail
    stage.pebble.names.lead(name, "127.0.0.1")
    assert ssl(pia, "POST", name, json=ORDER).status_code == 200
    assert pia.get(name)["state"]["detail"] is None


def test_an_authority_that_is_away(stage: Stage, pia: Account) -> None:
    name = stage.fresh()
    pia.create(COMMAND, name)
    stage.pebble.stop()
    answer = ssl(pia, "POST", name, json=ORDER)
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert stage.rows(name) == {}


def test_no_key_is_in_a_log(stage: Stage, pia: Account) -> None:
    name, config = stage.fresh(), stage.platform.config
    pia.create(COMMAND, name)
    assert ssl(pia, "POST", name, json=ORDER).status_code == 200
    installed = (config.certificates / "own" / f"{name}.pem").read_text()
    ordered = installed[: installed.index("-----BEGIN CERTIFICATE")]
    cert, key = Authority("Uploads").sign("other.test")
    assert ssl(pia, "POST", name, json={"cert": cert, "private_key": key}).status_code == 400
    assert ssl(pia, "POST", name, json={"cert": cert + key, "private_key": key[:-40]}).status_code == 400
    failing = stage.fresh()
    pia.call("POST", f"{name}/domains/", json={"domain_name": failing})
    refusal = {"type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "not today", "status": 400}
    stage.door.rule = lambda request: (400, {}, refusal) if request.path == "/order-plz" else None
    assert ssl(pia, "POST", failing, json=ORDER).status_code == 400
    lines = [line for text in (ordered, key) for line in text.splitlines() if len(line) > 20 and "-----" not in line]
    assert len(lines) >= 4
    for log in (config.logs / "platform").glob("*.log"):
        written = log.read_text(errors="replace")
        assert not any(line in written for line in lines), log


def test_an_upload_is_shown_and_an_order_takes_its_place(stage: Stage, pia: Account) -> None:
    name = stage.fresh()
    pia.create(COMMAND, name)
    cert, key = Authority("Uploads").sign(name)
    answer = ssl(pia, "POST", name, json={"cert": cert, "private_key": key})
    assert (answer.status_code, answer.json()) == (200, {"status": "OK"})
    assert stage.row(name)["fingerprint"] == stage.fingerprint(name)
    assert ssl(pia, "GET", name).json()["issuer_name"] == "Uploads"
    assert ssl(pia, "POST", name, json=ORDER).status_code == 200
    stage.trusted(name)
    assert ssl(pia, "GET", name).json()["cert_type"] == ORDER["cert_type"]
    ssl(pia, "POST", name, json={"cert": cert, "private_key": key})
    assert stage.row(name)["fingerprint"] == stage.fingerprint(name)


@pytest.mark.parametrize("change", ["DELETE", "POST", "website"])
def test_a_change_meanwhile_waits_for_an_order_that_is_being_installed(stage: Stage, pia: Account, change: str) -> None:
    name = stage.fresh()
    pia.create(COMMAND, name)
    cert, key = Authority("Uploads").sign(name)
    supervisor = psutil.Process(stage.platform.pids()["supervisor"])
    offered, issued = stage.platform.config.offered / f"{name}.pem", threading.Event()

    def rule(request: Request) -> None:
        if request.path.startswith("/certZ") and not issued.is_set():
            supervisor.suspend()
            issued.set()

    stage.door.rule = rule
    with ThreadPoolExecutor(2) as pool:
        try:
            order = pool.submit(ssl, pia, "POST", name, json=ORDER)
            assert issued.wait(60)
            wait_for(offered.exists, 30, "the offer")
            if change == "website":
                other = pool.submit(pia.call, "DELETE", f"{name}/")
            else:
                other = pool.submit(ssl, pia, change, name, json={"cert": cert, "private_key": key})
            time.sleep(0.5)  # in which it would overtake the order, if it could
        finally:
            supervisor.resume()
    codes = {"DELETE": (200, 204), "POST": (200, 200), "website": (503, 204)}
    assert (order.result().status_code, other.result().status_code) == codes[change]
    if change == "POST":
        assert (stage.row(name)["kind"], stage.row(name)["issuer"]) == ("user-provided", "Uploads")
        assert stage.row(name)["fingerprint"] == stage.fingerprint(name)
    else:
        assert stage.rows(name) == {}
        assert not stage.certified(name)


def test_a_domain_is_taken_over_by_a_record_in_the_dns(stage: Stage, pia: Account, paul: Account) -> None:
    name = stage.fresh()
    pia.write("server.py", PLAIN.replace('"one"', '"of pia"'))
    former = pia.create(COMMAND, name)
    assert ssl(pia, "POST", name, json=ORDER).status_code == 200
    assert stage.platform.visit(name).json()["version"] == "of pia"

    wanted = {"domain_name": name, "webapp": {"command": COMMAND}}
    refused = paul.call("POST", json=wanted)
    proof = refused.json()["proof"]
    assert (refused.status_code, proof["name"]) == (400, f"_hereabouts-challenge.{name}")
    stage.pebble.names.tell("set-txt", host=proof["name"] + ".", value=proof["value"])
    answer = paul.call("POST", json=wanted)
    assert answer.status_code == 201, answer.text

    assert stage.platform.visit(name).json()["version"] == "one"
    with pytest.raises(Exception, match="certificate verify failed"):
        stage.trusted(name)  # what pia had is not paul's to show
    fallback = f"webapp-{former['id']}.localhost"
    assert stage.platform.visit(fallback).json()["version"] == "of pia"
    left = pia.get(fallback)
    assert (left["id"], left["state"]["status"]) == (former["id"], "running")
    assert ssl(paul, "POST", name, json=ORDER).status_code == 200
    stage.trusted(name)
