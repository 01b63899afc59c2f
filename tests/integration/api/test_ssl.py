"""The certificate of a domain: domains/{domain}/ssl/"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from hereabouts import files
from hereabouts.config import Config
from hereabouts.core.certificate import lock_name
from tests.authority import DAY, key_pem, new_key
from tests.authority import Authority as Signer
from tests.integration.api.conftest import Authority, Caller, Supervisor, see, serving, visitor, wait_for

SHOP = "www.shop.test"
ORDER = {"cert_type": "letsencrypt-auto-renew"}
CA = Signer()
MARKER = "cHJpdmF0ZUtleU1hcmtlcg"


def own(name: str = SHOP, **more: Any) -> dict[str, str]:
    cert, key = CA.sign(name, **more)
    return {"cert": cert, "private_key": key}


@pytest.fixture(autouse=True)
def shop(alice: Caller) -> int:
    """Alice's website with a custom domain."""
    return int(alice.create(SHOP)["id"])


def issued(authority: Authority, days: float = 90.0) -> None:
    """From here on orders succeed: the certificate is recorded as that process does it."""
    from hereabouts.control.store import DjangoStore
    from hereabouts.core.certificate import Certificate, Details, Kind

    def issue(name: str) -> object:
        now = time.time()
        found = Details("R11", name, (name,), now, now + days * 86400, "a" * 64)
        DjangoStore().record_certificate(Certificate(name, Kind.ACME, found, renew_at=1_900_000_000.0))
        return {"status": "done"}

    authority.issue = issue


def row(name: str = SHOP) -> Any:
    from hereabouts.control.models import Certificate

    return Certificate.objects.filter(name=name).first()


def test_an_order(alice: Caller, authority: Authority) -> None:
    issued(authority)
    answer = alice.ssl("POST", SHOP, json=ORDER)
    assert (answer.status_code, answer.json()) == (200, {"status": "OK"})
    assert ["issue", SHOP, "90"] in authority.asked
    found = alice.ssl("GET", SHOP).json()
    end = found.pop("not_after")
    assert time.strptime(end, "%Y%m%dT%H%M%SZ")
    assert found == {
        "cert_type": "letsencrypt-auto-renew", "issuer_name": "R11", "subject_name": SHOP,
        "subject_alternate_names": [SHOP], "renewal": {"next": "2030-03-17T17:46:40Z", "problem": None},
    }  # fmt: skip
    assert alice.ssl("POST", SHOP, json=ORDER).json() == {"status": "OK"}
    assert alice.ssl("POST", SHOP, data=ORDER).json() == {"status": "OK"}
    assert alice.ssl("DELETE", SHOP).status_code == 204
    assert alice.ssl("GET", SHOP).status_code == 404
    assert row() is None


def test_any_domain_of_the_accounts_websites(alice: Caller, authority: Authority) -> None:
    issued(authority)
    alice.call("POST", f"{SHOP}/domains/", json={"domain_name": "bücher.test"})
    assert alice.ssl("POST", "Bücher.test", json=ORDER).status_code == 200
    assert alice.ssl("GET", "xn--bcher-kva.test").json()["subject_alternate_names"] == ["xn--bcher-kva.test"]
    assert alice.ssl("GET", SHOP).status_code == 404


@pytest.mark.parametrize(
    ("failure", "code", "detail", "retry"),
    [
        ({"kind": "dns", "problem": "It leads to 192.0.2.9."}, 400, "It leads to 192.0.2.9.", None),
        ({"kind": "authority", "problem": "CAA forbids it."}, 400, "CAA forbids it.", None),
        ({"kind": "unreachable", "problem": "No route."}, 503, "No route.", "60"),
        ({"kind": "platform", "problem": "nginx is away."}, 503, "nginx is away.", "60"),
        ({"kind": "what", "problem": "?"}, 503,
         "The certificates process gave no answer that could be understood.", "60"),
    ],
    ids=lambda value: value.get("kind") if isinstance(value, dict) else "",
)  # fmt: skip
def test_an_order_that_fails_leaves_nothing_behind(
    alice: Caller, authority: Authority, failure: dict[str, Any], code: int, detail: str, retry: str | None
) -> None:
    authority.issue = lambda name: {"status": "failed", "retry_at": None, **failure}
    answer = alice.ssl("POST", SHOP, json=ORDER)
    assert (answer.status_code, answer.json()) == (code, {"detail": detail})
    assert answer.headers.get("Retry-After") == retry
    assert row() is None


def test_the_authoritys_limit(alice: Caller, authority: Authority) -> None:
    moment = time.time() + 5000
    authority.issue = lambda name: {"status": "failed", "kind": "limit", "problem": "Too many.", "retry_at": moment}
    answer = alice.ssl("POST", SHOP, json=ORDER)
    assert answer.status_code == 429
    assert 4990 <= int(answer.headers["Retry-After"]) <= 5001
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment))
    assert answer.json()["detail"].startswith(f"Too many. Try again after {when}, in ")
    assert row() is None


def until_refused(alice: Caller, most: int) -> tuple[int, httpx.Response]:
    """How many orders there could be before one had to wait, and what that was answered."""
    for number in range(most):
        answer = alice.ssl("POST", SHOP, json=ORDER)
        if answer.status_code == 429:
            return number, answer
    raise AssertionError("there is no pause")


def test_orders_that_fail_are_slowed_down(alice: Caller, bob: Caller, authority: Authority) -> None:
    authority.issue = lambda name: {"status": "failed", "kind": "authority", "problem": "No.", "retry_at": None}
    number, answer = until_refused(alice, 40)  # on a slow machine the first pauses end unnoticed
    assert number >= 10
    assert 1 <= int(answer.headers["Retry-After"]) <= 3600
    assert answer.json()["detail"].startswith(
        "This account has ordered too many certificates lately, or too many orders failed: the authority counts them "
        "for the whole platform. The next can be ordered in "
    )
    assert row() is None
    bob.create("www.bobs.test")
    assert bob.ssl("POST", "www.bobs.test", json=ORDER).status_code == 400  # which is the authority's word


@pytest.mark.parametrize("kind", ["dns", "unreachable"])
def test_what_the_authority_never_heard_of_is_not_counted(alice: Caller, authority: Authority, kind: str) -> None:
    authority.issue = lambda name: {"status": "failed", "kind": kind, "problem": "No.", "retry_at": None}
    assert 429 not in {alice.ssl("POST", SHOP, json=ORDER).status_code for _ in range(12)}


def test_ordering_and_deleting_again_and_again_is_slowed_down(alice: Caller, apart: Config) -> None:
    settings = dataclasses.replace(apart, domains_each=2)
    authority, supervisor = Authority(settings), Supervisor(settings)
    issued(authority)
    with serving(settings), visitor(settings) as client:
        caller = Caller(alice.name, alice.token, client)
        for _ in range(5):
            assert caller.ssl("POST", SHOP, json=ORDER).status_code == 200  # a good one is there already

        def again() -> int:
            caller.ssl("DELETE", SHOP)
            return caller.ssl("POST", SHOP, json=ORDER).status_code

        codes = [again() for _ in range(20)]
    assert codes[0] == 200
    assert 429 in codes
    authority.close()
    supervisor.close()


def test_an_order_that_takes_its_time_goes_on(alice: Caller, authority: Authority) -> None:
    authority.issue = lambda name: {"status": "waiting"}
    answer = alice.ssl("POST", SHOP, json=ORDER)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "30"
    assert (
        answer.json()["detail"] == f"The order for {SHOP} is taking its time. It goes on by itself; look again later."
    )
    assert row().kind == "letsencrypt-auto-renew"
    assert alice.ssl("GET", SHOP).json() == {"detail": f"There is no certificate for {SHOP}. It is being ordered."}


def test_without_the_certificates_process(alice: Caller) -> None:
    answer = alice.ssl("POST", SHOP, json=ORDER)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "30"
    assert "The certificates process is not answering" in answer.json()["detail"]
    assert row() is None


def test_a_process_that_answers_nonsense(alice: Caller, authority: Authority) -> None:
    for nonsense in ("nonsense", "[]", None):
        authority.issue = lambda name, nonsense=nonsense: nonsense
        assert alice.ssl("POST", SHOP, json=ORDER).status_code == 503


def test_a_failure_leaves_what_was_there(alice: Caller, authority: Authority) -> None:
    issued(authority)
    alice.ssl("POST", SHOP, json=ORDER)
    before = alice.ssl("GET", SHOP).json()
    authority.issue = lambda name: {"status": "failed", "kind": "authority", "problem": "No.", "retry_at": None}
    assert alice.ssl("POST", SHOP, json=ORDER).status_code == 400
    assert alice.ssl("GET", SHOP).json() == before


def test_an_upload(alice: Caller, supervisor: Supervisor, config: Config) -> None:
    body = own()
    answer = alice.ssl("POST", SHOP, json=body)
    assert (answer.status_code, answer.json()) == (200, {"status": "OK"})
    installed = supervisor.installed[SHOP].decode()
    assert installed == body["private_key"] + body["cert"]
    found = alice.ssl("GET", SHOP).json()
    leaf = x509.load_pem_x509_certificate(body["cert"].encode())
    assert found == {
        "cert_type": "user-provided", "issuer_name": "Test CA", "subject_name": SHOP,
        "subject_alternate_names": [SHOP], "not_after": f"{leaf.not_valid_after_utc:%Y%m%dT%H%M%SZ}", "renewal": None,
    }  # fmt: skip
    assert list(config.offered.iterdir()) == []
    assert alice.ssl("DELETE", SHOP).status_code == 204
    assert supervisor.withdrawn == [SHOP]
    answer = alice.ssl("DELETE", SHOP)
    assert (answer.status_code, answer.json()) == (
        404, {"detail": f"There is no certificate for {SHOP}. There is nothing to delete."}
    )  # fmt: skip


def test_an_upload_as_a_form_and_by_its_kind(alice: Caller, supervisor: Supervisor) -> None:
    assert alice.ssl("POST", SHOP, data=own()).status_code == 200
    assert alice.ssl("POST", SHOP, json={"cert_type": "user-provided", **own()}).status_code == 200
    files = {name: (None, value) for name, value in own().items()}
    assert alice.ssl("POST", SHOP, files=files).status_code == 200


def test_a_newer_upload_takes_the_place_of_the_older(alice: Caller, supervisor: Supervisor) -> None:
    alice.ssl("POST", SHOP, json=own())
    alice.ssl("POST", SHOP, json=own(SHOP, end=10 * DAY))
    found = row()
    assert found.not_after - time.time() < 11 * 86400
    leaf = x509.load_pem_x509_certificates(supervisor.installed[SHOP])[0]
    assert leaf.not_valid_after_utc.timestamp() == found.not_after


def test_uploads_at_once_leave_the_row_of_the_file(alice: Caller, supervisor: Supervisor) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: alice.ssl("POST", SHOP, json=own(SHOP, end=number * DAY)), range(1, 13)))
    assert {answer.status_code for answer in answers} == {200}
    leaf = x509.load_pem_x509_certificates(supervisor.installed[SHOP])[0]
    assert leaf.not_valid_after_utc.timestamp() == row().not_after


def test_an_upload_that_is_not_in_use_is_no_success(alice: Caller, config: Config, supervisor: Supervisor) -> None:
    supervisor.refusal = "the key does not match"
    answer = alice.ssl("POST", SHOP, json=own())
    assert (answer.status_code, answer.json()) == (
        503, {"detail": "The certificate could not be put to use: the key does not match"}
    )  # fmt: skip
    assert row() is None
    assert list(config.offered.iterdir()) == []


def test_an_upload_without_a_supervisor(alice: Caller, config: Config) -> None:
    answer = alice.ssl("POST", SHOP, json=own())
    assert answer.status_code == 503
    assert "The supervisor is not answering" in answer.json()["detail"]
    assert answer.headers["Retry-After"] == "30"
    assert list(config.offered.iterdir()) == []
    assert row() is None


def test_an_order_replaces_an_upload_only_when_it_succeeds(
    alice: Caller, supervisor: Supervisor, authority: Authority
) -> None:
    alice.ssl("POST", SHOP, json=own())
    before = alice.ssl("GET", SHOP).json()
    authority.issue = lambda name: {"status": "failed", "kind": "dns", "problem": "No.", "retry_at": None}
    assert alice.ssl("POST", SHOP, json=ORDER).status_code == 400
    assert alice.ssl("GET", SHOP).json() == before
    issued(authority)
    assert alice.ssl("POST", SHOP, json=ORDER).status_code == 200
    assert alice.ssl("GET", SHOP).json()["issuer_name"] == "R11"
    assert alice.ssl("POST", SHOP, json=own()).status_code == 200
    after = alice.ssl("GET", SHOP).json()
    assert (after["cert_type"], after["renewal"]) == ("user-provided", None)
    assert supervisor.withdrawn == []


def test_an_upload_that_waits_while_its_domain_is_taken_over(
    alice: Caller, bob: Caller, config: Config, control: subprocess.Popen[bytes], supervisor: Supervisor,
    authority: Authority,
) -> None:  # fmt: skip
    from hereabouts.control.models import Domain

    body = {"domain_name": SHOP, "webapp": {"command": "true"}}
    proof = bob.call("POST", json=body).json()["proof"]
    authority.records[SHOP] = [proof["value"]]
    file = config.certificate_locks / lock_name(SHOP)

    def waits() -> bool:
        """Whether control has opened the file of the lock."""
        opened = []
        for each in Path(f"/proc/{control.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                opened.append(each.readlink())
        return any(path.parts[-2:] == file.parts[-2:] for path in opened)

    files.directory(file.parent, mode=0o700, owner=(config.control_uid, config.control_uid))
    with ThreadPoolExecutor(2) as pool:
        with files.lock(file) as lock:
            os.chown(file, config.control_uid, config.control_uid)
            assert lock()
            late = pool.submit(alice.ssl, "POST", SHOP, json=own())
            wait_for(waits)
            new = pool.submit(bob.call, "POST", json=body)
            wait_for(lambda: Domain.objects.filter(name=SHOP, website__account__username="bob").exists())
        assert (late.result().status_code, new.result().status_code) == (404, 201)
    assert SHOP not in supervisor.installed
    assert bob.ssl("POST", SHOP, json=own()).status_code == 200
    leaf = x509.load_pem_x509_certificates(supervisor.installed[SHOP])[0]
    assert leaf.fingerprint(hashes.SHA256()).hex() == row().fingerprint


def test_a_domain_that_goes_while_its_certificate_is_uploaded(alice: Caller, supervisor: Supervisor) -> None:
    alice.create()
    alice.call("POST", "alice.example.org/domains/", json={"domain_name": "going.test"})
    install = supervisor._install

    def slow(name: str) -> str:
        assert alice.call("DELETE", "alice.example.org/domains/going.test/").status_code == 204
        return install(name)

    supervisor._install = slow  # type: ignore[method-assign]
    answer = alice.ssl("POST", "going.test", json=own("going.test"))
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})
    assert supervisor.withdrawn == ["going.test"]
    assert row("going.test") is None


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({}, {"cert_type": ["Give letsencrypt-auto-renew, or a certificate of your own as cert and private_key."]}),
        ({"cert_type": "other"}, {"cert_type": [
            "Give letsencrypt-auto-renew, or a certificate of your own as cert and private_key."]}),
        ({"cert_type": "user-provided"}, {"cert": ["This field is required."],
                                          "private_key": ["This field is required."]}),
        ({"cert": "x"}, {"private_key": ["This field is required."]}),
        ({"private_key": "x"}, {"cert": ["This field is required."]}),
        ({**ORDER, "cert": "x", "private_key": "y"}, {"cert_type": [
            "Leave it out with a certificate of your own."]}),
        ({"cert_type": None}, {"cert_type": ["This field may not be null."]}),
        ({"cert_type": 7}, {"cert_type": ["Not a valid string."]}),
        ({"cert": 7, "private_key": []}, {"cert": ["Not a valid string."], "private_key": ["Not a valid string."]}),
        ({"cert": "", "private_key": "x"}, {"cert": ["This field may not be blank."]}),
        ({"cert": "a\0", "private_key": "x"}, {"cert": ["Null characters are not allowed."]}),
        ([], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
    ],
)  # fmt: skip
def test_a_body_that_will_not_do(alice: Caller, body: object, refusal: object) -> None:
    answer = alice.ssl("POST", SHOP, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (400, refusal)


def test_each_fault_is_refused_in_its_own_words(alice: Caller, supervisor: Supervisor) -> None:
    good = own()
    for body, field, words in (
        ({**good, "cert": "nonsense"}, "cert", "This is not PEM."),
        ({**good, "private_key": key_pem(new_key())}, "private_key", "does not belong to the certificate"),
        ({**good, "private_key": key_pem(new_key(), "secret")}, "private_key", "is encrypted"),
        (own("other.test"), "cert", f"not for {SHOP}"),
        (own(SHOP, start=-9 * DAY, end=-DAY), "cert", "ended on"),
        ({**good, "extra": 1, "cert": good["cert"] * 9}, "cert", "at most 10"),
        ({**good, "cert": "x" * 100_001}, "cert", "no more than 100000 characters"),
        ({**good, "private_key": "x" * 20_001}, "private_key", "no more than 20000 characters"),
    ):
        answer = alice.ssl("POST", SHOP, json=body)
        assert (answer.status_code, list(answer.json())) == (400, [field])
        assert words in answer.json()[field][0]
    assert supervisor.installed == {}


def test_others(alice: Caller, bob: Caller, authority: Authority, supervisor: Supervisor) -> None:
    alice.ssl("POST", SHOP, json=own())
    bob.create()
    for name in (SHOP, "nothing.test", "%00", "bob", "bob.example.org.test"):
        for method in ("GET", "POST", "DELETE"):
            answer = bob.ssl(method, name, json=ORDER)
            assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})
            assert bob.ssl(method, name, user="alice", json=ORDER).status_code == 403
    assert alice.ssl("GET", SHOP).status_code == 200
    assert [words[0] for words in authority.asked] == []


def test_they_go_with_the_domain_and_the_website(alice: Caller, supervisor: Supervisor) -> None:
    alice.call("POST", f"{SHOP}/domains/", json={"domain_name": "shop.test"})
    for name in (SHOP, "shop.test"):
        assert alice.ssl("POST", name, json=own(name)).status_code == 200
    alice.call("DELETE", f"{SHOP}/domains/shop.test/")
    assert row("shop.test") is None
    assert row() is not None
    alice.call("DELETE", f"{SHOP}/")
    assert row() is None


def test_one_that_ends_soon_is_told_in_the_state(
    alice: Caller, authority: Authority, supervisor: Supervisor, shop: int
) -> None:
    see(shop)
    issued(authority, days=-1)
    alice.ssl("POST", SHOP, json=ORDER)
    row_now = row()
    row_now.problem, row_now.next_try_at = "The authority is away.", 1_900_000_000.0
    row_now.save()
    detail = alice.call("GET", f"{SHOP}/").json()["state"]["detail"]
    assert detail == f"The certificate of {SHOP} has ended and could not be renewed yet: The authority is away."
    renewal = alice.ssl("GET", SHOP).json()["renewal"]
    assert renewal == {"next": "2030-03-17T17:46:40Z", "problem": "The authority is away."}
    row_now.problem, row_now.renew_at, row_now.next_try_at = None, 0.0, 0.0  # an order is under way
    row_now.save()
    assert alice.ssl("GET", SHOP).json()["renewal"] == {"next": None, "problem": None}
    alice.ssl("POST", SHOP, json=own(SHOP, start=-300 * DAY, end=5 * DAY))
    detail = alice.call("GET", f"{SHOP}/").json()["state"]["detail"]
    assert detail == f"The certificate of {SHOP} ends in 5 days. Upload a new one."


def test_a_private_key_is_told_to_nobody(alice: Caller, apart: Config, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither by answers, nor in the database, nor in control's log; whatever is wrong with it."""
    wrong = f"-----BEGIN PRIVATE KEY-----\n{MARKER}\n-----END PRIVATE KEY-----\n"
    good = own()
    secret = "".join(good["private_key"].splitlines()[1:-1])[40:80]
    bodies: list[dict[str, Any]] = [
        good, {**good, "private_key": wrong}, {**good, "private_key": MARKER}, {"cert": wrong, "private_key": wrong},
        {"cert_type": MARKER}, {"cert_type": wrong}, {**good, "private_key": [wrong]}, {"private_key": wrong},
        {**good, "cert": good["private_key"]}, {**good, "private_key": good["private_key"] * 2}, {"domain_name": wrong},
        {**good, "private_key": wrong * 500},
    ]  # fmt: skip
    supervisor = Supervisor(apart)
    with serving(apart), visitor(apart) as client:
        caller = Caller(alice.name, alice.token, client)
        answers = [caller.ssl("POST", SHOP, json=body) for body in bodies]
        supervisor.refusal = "not today"
        answers += [caller.ssl("POST", SHOP, json=good), caller.ssl("GET", SHOP), caller.call("GET")]
        broken = json.dumps(good)[:-3]
        answers.append(caller.ssl("POST", SHOP, content=broken, headers={"Content-Type": "application/json"}))
        supervisor.close()
        answers.append(caller.ssl("POST", SHOP, json=good))
    assert [answer.status_code for answer in answers] == [200, *[400] * 11, 503, 200, 200, 400, 503]
    texts = [answer.text for answer in answers]
    kept = [path.read_bytes().decode("latin-1") for path in apart.sqlite_file.parent.glob("*.sqlite3*")]
    said = capfd.readouterr()
    for text in (*texts, *kept, said.out, said.err):
        assert MARKER not in text
        assert secret not in text


def test_names_of_the_platform_have_one_where_the_authority_signs_for_all(alice: Caller, apart: Config) -> None:
    """``site_certificates = "acme"``: also for the name that is left when the main one is taken over."""
    from hereabouts.control.models import Certificate, Website

    def wanted() -> list[tuple[str, str]]:
        return sorted(Certificate.objects.values_list("name", "kind"))

    acme = dataclasses.replace(apart, site_certificates="acme")
    with serving(acme), visitor(acme) as client:
        caller = Caller(alice.name, alice.token, client)
        assert caller.create()["state"]["status"] == "starting"
        assert wanted() == [("alice.example.org", "letsencrypt-auto-renew")]
        for name in ("b-alice.example.org", "other.test"):
            caller.call("POST", "alice.example.org/domains/", json={"domain_name": name})
        assert [name for name, _ in wanted()] == ["alice.example.org", "b-alice.example.org"]
        assert caller.call("DELETE", "alice.example.org/").status_code == 204
    assert wanted() == []
    assert Website.objects.count() == 1
