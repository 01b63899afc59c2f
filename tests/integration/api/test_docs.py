"""The schema and the browsable reference."""

from __future__ import annotations

import re

import httpx
import pytest


@pytest.fixture(scope="module")
def schema(anyone: httpx.Client) -> dict:
    answer = anyone.get("/api/schema/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    return answer.json()


def test_every_endpoint_is_there_once(schema: dict) -> None:
    websites = "/api/v1/user/{username}/websites/"
    assert {path: sorted(set(found) - {"parameters"}) for path, found in schema["paths"].items()} == {
        websites: ["get", "post"],
        websites + "{domain}/": ["delete", "get", "patch"],
        websites + "{domain}/reload/": ["post"],
        websites + "{domain}/steps/": ["get"],
        websites + "{domain}/logs/{kind}/": ["get"],
        websites + "{domain}/metrics/": ["get"],
        websites + "{domain}/domains/": ["get", "post"],
        websites + "{domain}/domains/{name}/": ["delete", "get", "patch"],
        websites + "{domain}/domains/{name}/dns/": ["get", "post"],
        "/api/v1/user/{username}/domains/{domain}/ssl/": ["delete", "get", "post"],
    }


def test_every_answer_is_described(schema: dict) -> None:
    every = {"401", "403", "404", "429", "503"}
    body = {"400", "413", "415"}
    expected = {
        "list_websites": {"200"},
        "create_website": {"201", *body},
        "get_website": {"200"},
        "change_website": {"200", *body},
        "delete_website": {"204"},
        "reload_website": {"200", "400", "502"},
        "get_metrics": {"200", "400"},
        "list_domains": {"200"},
        "add_domain": {"201", *body},
        "get_domain": {"200"},
        "change_domain": {"200", *body},
        "remove_domain": {"204", "400"},
        "get_steps": {"200"},
        "get_log": {"200", "400"},
        "get_dns": {"200"},
        "check_dns": {"200"},
        "get_certificate": {"200"},
        "set_certificate": {"200", *body},
        "delete_certificate": {"204"},
    }
    found = {
        operation["operationId"]: set(operation["responses"])
        for path in schema["paths"].values()
        for operation in path.values()
    }
    assert found == {name: codes | every for name, codes in expected.items()}
    said = {
        operation["operationId"]: operation["responses"]["503"]["description"]
        for path in schema["paths"].values()
        for operation in path.values()
    }
    assert said["get_website"].startswith("The database is locked")
    assert said["get_log"].startswith("A part of the platform is being started")
    assert said["set_certificate"].startswith("The authority, or a part of the platform,")


def test_a_form_has_dotted_names(schema: dict) -> None:
    content = schema["paths"]["/api/v1/user/{username}/websites/"]["post"]["requestBody"]["content"]
    form = content["application/x-www-form-urlencoded"]["schema"]
    assert form["required"] == ["domain_name", "webapp.command"]
    assert set(content) == {"application/json", "application/x-www-form-urlencoded", "multipart/form-data"}


@pytest.mark.parametrize("path", ["/api/docs/", "/api/docs"])
@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
def test_the_reference_and_all_it_loads_come_from_here(anyone: httpx.Client, path: str, accept: str) -> None:
    page = anyone.get(path, headers={"Accept": accept})
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) >= 4
    for address in loaded:
        assert address.startswith(("/static/", path)), address
        asset = anyone.get(address)
        assert asset.status_code == 200
        assert "Access-Control-Allow-Origin" not in asset.headers
    script = anyone.get(next(address for address in loaded if address.startswith(path)))
    assert script.headers["Content-Type"] == "application/javascript"
    assert anyone.get(re.findall(r'url: "([^"]+)"', script.text)[0].replace("\\u002D", "-")).json()["openapi"]


def test_other_methods(anyone: httpx.Client) -> None:
    for path in ("/api/docs/", "/api/schema/"):
        assert anyone.post(path).status_code == 405
    assert anyone.post("/").status_code == 403  # a form that no page of ours sent
