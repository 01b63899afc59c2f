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
    expected = {
        "list_websites": {"200", "401", "403", "429"},
        "create_website": {"201", "400", "401", "403", "413", "415", "429"},
        "get_website": {"200", "401", "403", "404", "429"},
        "change_website": {"200", "400", "401", "403", "404", "413", "415", "429"},
        "delete_website": {"204", "401", "403", "404", "429"},
        "reload_website": {"200", "400", "401", "403", "404", "429", "502"},
        "get_metrics": {"200", "400", "401", "403", "404", "429"},
        "list_domains": {"200", "401", "403", "404", "429"},
        "add_domain": {"201", "400", "401", "403", "404", "413", "415", "429"},
        "get_domain": {"200", "401", "403", "404", "429"},
        "change_domain": {"200", "400", "401", "403", "404", "413", "415", "429"},
        "remove_domain": {"204", "400", "401", "403", "404", "429"},
        "get_steps": {"200", "401", "403", "404", "429", "503"},
        "get_log": {"200", "400", "401", "403", "404", "429", "503"},
        "get_dns": {"200", "401", "403", "404", "429"},
        "check_dns": {"200", "401", "403", "404", "429"},
        "get_certificate": {"200", "401", "403", "404", "429"},
        "set_certificate": {"200", "400", "401", "403", "404", "413", "415", "429", "503"},
        "delete_certificate": {"204", "401", "403", "404", "429"},
    }
    found = {
        operation["operationId"]: set(operation["responses"])
        for path in schema["paths"].values()
        for operation in path.values()
    }
    assert found == expected


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
