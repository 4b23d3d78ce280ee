"""The payer's way: from the charge by our link to the provider's page, and back to ours, which
believes nothing that it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import inspect

from payment_service.api import pay, pay_pages
from payment_service.config import urls
from payment_service.domain.commands import Charge
from payment_service.domain.payers import Payer, Said
from payment_service.extensions import db
from payment_service.providers import registry
from payment_service.providers.contract import Operation, Outcome, Result
from payment_service.providers.sandbox import SandboxProvider
from payment_service.services.moves import links, resolution
from tests.books import execute, post, row, rows
from tests.fixtures import MakeApp, a_key, an_order
from tests.patience import CLOCKLESS, PATIENCE
from tests.sandbox_server import Sandbox

PUBLIC = "https://pay.example"
APP = "https://app.example"
PAYER = {"name": "Canary Nameson", "email": "canary@mail.example", "phone": "+46701740605"}
SAID = {"payer": PAYER, "return_url": f"{APP}/done?cart=canary7", "channel": "fpx"}
SECRETS = ("Canary", "canary", "46701740605")
"""What is of the payer or the page is nowhere but where it is meant to be."""


class Paged(SandboxProvider):
    """The sandbox's provider with a page of another make, `gives`; notes what it is asked."""

    name = "paged"

    def __init__(self, sandbox: Sandbox, limits: Any) -> None:
        super().__init__(sandbox.url, limits)
        self.gives: dict[str, Any] | None = None
        self.asked: list[Operation] = []

    def _ask(self, operation: Operation) -> Result:
        self.asked.append(operation)
        return self._with_page(super()._ask(operation), operation)

    def _lookup(self, operation: Operation) -> Result | None:
        self.asked.append(operation)
        found = super()._lookup(operation)
        return found and self._with_page(found, operation)

    def _with_page(self, result: Result, operation: Operation) -> Result:
        if result.outcome is not Outcome.REQUIRES_ACTION or self.gives is None:
            return result
        url = str(self.gives.get("url", "")).replace("REFERENCE", operation.reference)
        return replace(result, next_action=self.gives | ({"url": url} if url else {}))


@pytest.fixture(scope="module")
def app(make_app: MakeApp, sandbox: Sandbox) -> Iterator[Flask]:
    with pytest.MonkeyPatch.context() as patch:
        builders = registry.BUILDERS
        patch.setitem(builders, "paged", lambda settings, limits: Paged(sandbox, limits))
        yield make_app(public_url=PUBLIC, return_origins=APP, **CLOCKLESS)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def provider(app: Flask) -> Iterator[Paged]:
    found: Paged = app.extensions["providers"].get("paged")
    found.gives = None
    found.asked.clear()
    yield found
    found.gives = None


def charged(client: FlaskClient, key: str | None = None, **changes: Any) -> Any:
    """A charge whose payer must act."""
    body = an_order(payment_token="tok_requires_action") | changes
    headers = {"Idempotency-Key": key or a_key()}
    return client.post("/v1/payments/charge", json=body, headers=headers)


def path_of(answer: Any) -> str:
    """The path of the link that the charge was told."""
    url: str = answer.json["next_action"]["url"]
    assert url.startswith(f"{PUBLIC}/v1/pay/{answer.json['payment_id']}/")
    return url.removeprefix(PUBLIC)


def reference_of(answer: Any) -> str:
    return str(answer.json["transactions"][-1]["reference"])


def act(sandbox: Sandbox, answer: Any, outcome: str) -> requests.Response:
    """The payer decides on the provider's page, which leads back."""
    return requests.post(
        f"{sandbox.url}/sandbox/actions/{reference_of(answer)}",
        data={"outcome": outcome},
        allow_redirects=False,
        timeout=PATIENCE,
    )


def look_up(app: Flask, answer: Any) -> None:
    with app.app_context():
        resolution.resolve(payment_id=answer.json["payment_id"], number=1)


def test_a_payer_is_led_there_and_back(app: Flask, client: FlaskClient, sandbox: Sandbox) -> None:
    answer = charged(client, **SAID)
    assert (answer.status_code, answer.json["status"]) == (202, "REQUIRES_ACTION")
    action = answer.json["next_action"]
    assert (action["type"], action["expires_at"]) == ("redirect", answer.json["expires_at"])
    path = path_of(answer)
    sent = client.get(path)
    assert sent.status_code == 303
    assert sent.headers["Location"] == f"{sandbox.url}/sandbox/actions/{reference_of(answer)}"
    back = act(sandbox, answer, "approve")
    assert back.headers["Location"] == f"{PUBLIC}{path}/return"

    page = client.get(f"{path}/return?look=1")
    assert "One moment" in page.text
    assert 'content="2;url=return?look=2"' in page.text
    look_up(app, answer)
    page = client.get(f"{path}/return?look=2")
    there = f"{APP}/done?cart=canary7&amp;payment_id={answer.json['payment_id']}&amp;status=SUCCESS"
    assert "Paid" in page.text
    assert f'content="4;url={there}"' in page.text
    assert f'href="{there}"' in page.text
    again = client.get(path)
    assert (again.status_code, "Paid" in again.text) == (200, True)


def test_a_payer_who_says_no_is_told_so(app: Flask, client: FlaskClient, sandbox: Sandbox) -> None:
    answer = charged(client, **SAID)
    act(sandbox, answer, "decline")
    look_up(app, answer)
    page = client.get(f"{path_of(answer)}/return?look=1")
    assert "Not paid" in page.text
    assert "&amp;status=FAILED" in page.text


@pytest.mark.parametrize("how", ["get", "post"])
def test_what_the_way_back_carries_is_not_believed(
    app: Flask, client: FlaskClient, how: str
) -> None:
    """It makes the payment due and nothing else, and is not even kept in the address."""
    answer = charged(client, **SAID)
    payment_id = answer.json["payment_id"]
    before = row(app, "SELECT * FROM payments WHERE payment_id = :id", id=payment_id)
    open_requests = (
        "SELECT count(*) AS n FROM transactions WHERE payment_id = :id AND due_at <= now()"
    )
    assert row(app, open_requests, id=payment_id)["n"] == 0
    lies = "status=00&payment_id=1&look=1&number=4111111111111111"
    path = f"{path_of(answer)}/return?{lies}"
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://provider.example"}
    if how == "post":
        sent = client.post(path, data={"status": "SUCCESS", "look": "1"}, headers=foreign)
    else:
        sent = client.get(path, headers=foreign)
    assert (sent.status_code, sent.headers["Location"]) == (303, "return?look=1")
    assert row(app, open_requests, id=payment_id)["n"] == 1
    after = row(app, "SELECT * FROM payments WHERE payment_id = :id", id=payment_id)
    assert after == before


def test_no_page_has_a_payment_looked_up_all_the_time(app: Flask, client: FlaskClient) -> None:
    """Once in two seconds at most, whoever asks for the page."""
    answer = charged(client, **SAID)
    path, payment_id = f"{path_of(answer)}/return", answer.json["payment_id"]
    client.get(path)
    later = "UPDATE transactions SET due_at = now() + interval '1 hour' WHERE payment_id = :id"
    execute(app, later, id=payment_id)
    # The two seconds don't begin to pass, however busy the machine is.
    moved = "UPDATE payers SET hastened_at = hastened_at + interval '1 hour' WHERE payment_id = :id"
    execute(app, moved, id=payment_id)
    for _ in range(3):
        client.get(path)
        client.get(f"{path}?look=1")
    due = "SELECT due_at > now() AS later FROM transactions WHERE payment_id = :id"
    assert row(app, due, id=payment_id)["later"]
    over = "hastened_at - interval '1 hour 2 s'"
    execute(app, f"UPDATE payers SET hastened_at = {over} WHERE payment_id = :id", id=payment_id)
    client.get(f"{path}?look=1")
    assert not row(app, due, id=payment_id)["later"]


def test_a_page_asks_by_itself_for_a_minute(client: FlaskClient) -> None:
    answer = charged(client, **SAID)
    path = f"{path_of(answer)}/return"
    last = client.get(f"{path}?look={pay.LOOKS - 1}")
    assert f'content="2;url=return?look={pay.LOOKS}"' in last.text
    over = client.get(f"{path}?look={pay.LOOKS}")
    assert "http-equiv" not in over.text
    assert "Do not pay a second time" in over.text
    assert "status=REQUIRES_ACTION" in over.text  # whoever wants to go on knows what stands
    assert pay.LOOKS * pay_pages.LOOK_SECONDS == 60


@pytest.mark.parametrize("end", ["a", "", "/return", "/x/return", "%00", "?x=1", "é"])
def test_a_link_that_we_did_not_make_leads_nowhere(client: FlaskClient, end: str) -> None:
    """To a page that says nothing of the payment, whether there is one or not."""
    answer = charged(client)
    payment_id, path = answer.json["payment_id"], path_of(answer)
    other = path_of(charged(client)).rsplit("/", 1)[1]
    pages = [
        client.get(f"/v1/pay/{payment_id}/{other}{end if end != 'a' else ''}"),
        client.get(f"/v1/pay/{2**62}/{other}{end}"),
        client.get(f"{path[:-1]}{'a' if path[-1] != 'a' else 'b'}"),
    ]
    for page in pages:
        assert (page.status_code, page.mimetype) == (404, "text/html")
        assert "This link leads nowhere" in page.text
        assert page.text == pages[0].text


def test_a_link_is_made_of_the_secret_key(make_app: MakeApp, app: Flask) -> None:
    other = make_app(secret_key="Another-1f8a2c9d7e6b5a4f3c2d1e0f9a8b7c6d")
    none = make_app(secret_key=None)
    with app.app_context():
        made = links.mac(7)
        assert links.is_genuine(7, made)
        assert not links.is_genuine(8, made)
        assert len(made) * 5 >= 128
        assert links.of_return(7) == f"{PUBLIC}/v1/pay/7/{made}/return"
    with other.app_context():
        assert not links.is_genuine(7, made)
    with none.app_context():
        assert not links.is_genuine(7, made)
        assert not links.is_genuine(7, "")


def test_errors_are_pages(client: FlaskClient, make_app: MakeApp) -> None:
    path = path_of(charged(client))
    for answer in (
        client.get("/v1/pay"),
        client.get("/v1/pay/x/y"),
        client.get(f"/api{path}x"),
        client.put(path),
        client.get(f"/v1/pay/1/{'x' * 9000}"),
        client.get(path, query_string={"x": "x" * 9000}),
    ):
        assert answer.status_code >= 400
        assert answer.mimetype == "text/html"
        assert answer.headers["Cache-Control"] == "no-store"
    few = make_app(public_url=PUBLIC, rate_limit="2 per 7 day").test_client()
    for _ in range(3):
        answer = few.get(path)
    assert (answer.status_code, answer.mimetype) == (429, "text/html")
    assert "Wait a moment" in answer.text


def test_no_page_is_kept_or_sets_a_cookie(client: FlaskClient) -> None:
    path = path_of(charged(client, **SAID))
    for answer in (
        client.get(path),
        client.get(f"{path}/return"),
        client.get(f"{path}/return?look=1"),
    ):
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "form-action 'none'" in answer.headers["Content-Security-Policy"]
    assert "script-src" not in answer.headers["Content-Security-Policy"]


FORM = {"amount": "100.00", "bill_name": 'A "Canary" <b>', "orderid": "7"}


def test_a_form_goes_to_one_origin_only(client: FlaskClient, provider: Paged) -> None:
    url = "https://their.example:8443/pay/canary?x=1"
    provider.gives = {"type": "redirect", "url": url, "form": FORM}
    answer = charged(client, provider="paged")
    assert "form" not in answer.json["next_action"]
    page = client.get(path_of(answer))
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert "form-action https://their.example:8443 'self';" in policy
    assert pay_pages.source_of(pay_pages.SUBMIT) in policy
    assert f'action="{url}"' in page.text
    assert 'name="bill_name" value="A &#34;Canary&#34; &lt;b&gt;"' in page.text
    assert "<button" in page.text


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//x", "https://a@b/", ""]
)
def test_nobody_is_sent_to_what_is_no_page(client: FlaskClient, provider: Paged, url: str) -> None:
    provider.gives = {"type": "redirect", "url": url}
    page = client.get(path_of(charged(client, provider="paged")))
    assert page.status_code == 200
    assert "no longer waits" in page.text


CODE = "data:image/png;base64,Canary=="
HANDED = {
    "type": "app", "url": "swish://paymentrequest?token=canary1", "token": "canary1", "qr": CODE,
}  # fmt: skip
SDK = {"type": "sdk", "client_secret": "canary_secret_2", "publishable_key": "pk_canary"}


@pytest.mark.parametrize("given", [HANDED, SDK])
def test_what_is_secret_is_told_to_who_charges_and_reads_the_one(
    app: Flask, client: FlaskClient, provider: Paged, given: dict[str, Any]
) -> None:
    provider.gives = given | {"and": "canary-more", "expires_at": "2099-01-01T00:00:00Z"}
    key = a_key()
    order = an_order(payment_token="tok_requires_action", provider="paged", rider_id=1)
    answer = charged(client, key, **order)
    payment_id = answer.json["payment_id"]
    told = given | {"expires_at": answer.json["expires_at"]}
    assert answer.json["next_action"] == told
    assert charged(client, key, **order).json["next_action"] == told
    read = client.get(f"/v1/payments/{payment_id}")
    assert read.json["next_action"] == told
    again = {"If-None-Match": read.headers["ETag"]}
    assert client.get(f"/v1/payments/{payment_id}", headers=again).status_code == 304
    for path in (
        f"/v1/payments?order_id={order['order_id']}",
        f"/v1/payments/order/{order['order_id']}",
        f"/v1/payments/{payment_id}/events",
    ):
        text = client.get(path).text
        assert f'"type":"{given["type"]}"' in text
        assert not any(secret in text for secret in SECRETS)


def test_a_page_that_did_not_change_is_no_news(
    app: Flask, client: FlaskClient, provider: Paged
) -> None:
    provider.gives = HANDED
    answer = charged(client, provider="paged")
    version = "SELECT version FROM payments WHERE payment_id = :id"
    before = row(app, version, id=answer.json["payment_id"])
    look_up(app, answer)
    assert row(app, version, id=answer.json["payment_id"]) == before
    provider.gives = HANDED | {"token": "canary3"}
    look_up(app, answer)
    assert row(app, version, id=answer.json["payment_id"]) != before
    read = client.get(f"/v1/payments/{answer.json['payment_id']}").json
    assert read["next_action"]["token"] == "canary3"


def test_an_app_is_opened_from_the_page_too(client: FlaskClient, provider: Paged) -> None:
    provider.gives = HANDED
    answer = charged(client, provider="paged")
    with client.application.app_context():
        path = f"/v1/pay/{answer.json['payment_id']}/{links.mac(answer.json['payment_id'])}"
    page = client.get(path)
    assert f'href="{HANDED["url"]}"' in page.text
    assert f'src="{CODE}"' in page.text
    assert f'href="{path.rsplit("/", 1)[1]}/return"' in page.text


def test_a_provider_is_told_of_the_payer(app: Flask, client: FlaskClient, provider: Paged) -> None:
    """At the charge, and at each look-up, by whatever process."""
    answer = charged(client, provider="paged", **SAID)
    look_up(app, answer)
    path = path_of(answer)
    for operation in provider.asked:
        assert operation.payer == Payer(**PAYER)
        assert operation.channel == SAID["channel"]
        assert operation.return_url == f"{PUBLIC}{path}/return"
        assert not any(secret in repr(operation) for secret in (*SECRETS, path))
    assert len(provider.asked) == 2


def test_a_payment_that_was_created_first_has_its_payer_too(
    client: FlaskClient, provider: Paged
) -> None:
    for taken_over in (False, True):
        order = an_order()
        made = client.post("/v1/payments", json=order).json
        said = {"payment_token": "tok_requires_action", "provider": "paged", **SAID}
        path = "/v1/payments/charge" if taken_over else f"/v1/payments/{made['payment_id']}/charge"
        body = (order if taken_over else {}) | said
        answer = client.post(path, json=body, headers={"Idempotency-Key": a_key()})
        assert (answer.status_code, answer.json["payment_id"]) == (202, made["payment_id"])
        assert provider.asked[-1].payer == Payer(**PAYER)
        page = client.get(f"{path_of(answer)}/return?look={pay.LOOKS}")
        assert f"{APP}/done" in page.text


@pytest.mark.parametrize(
    ("said", "field", "says"),
    [
        ({"payer": {"phone": "0701740605"}}, "payer", "phone: must be a number with +"),
        ({"payer": {"phone": "+0701740605"}}, "payer", "phone: "),
        ({"payer": {"phone": "+4670174060599999"}}, "payer", "phone: "),
        ({"payer": {"email": "no address"}}, "payer", "email: Not a valid email address"),
        ({"payer": {"email": None}}, "payer", "email: Field may not be null"),
        ({"payer": {"name": ""}}, "payer", "name: "),
        ({"payer": {"customer": "cus_1"}}, "payer", "customer: Unknown field"),
        ({"payer": "Canary"}, "payer", "Invalid input type"),
        ({"payer": None}, "payer", "Field may not be null"),
        ({"return_url": "https://other.example/x"}, "return_url", "one of RETURN_ORIGINS"),
        ({"return_url": "http://app.example/x"}, "return_url", "or http:// of this machine,"),
        ({"return_url": "https://app.example:444/"}, "return_url", "one of RETURN_ORIGINS"),
        ({"return_url": "https://app.example\\@other.example/"}, "return_url", "RETURN_ORIGINS"),
        ({"return_url": "https://app.example@other.example/"}, "return_url", "RETURN_ORIGINS"),
        ({"return_url": "https://u@app.example/"}, "return_url", "RETURN_ORIGINS"),
        ({"return_url": "//app.example/"}, "return_url", "RETURN_ORIGINS"),
        ({"return_url": "javascript:alert(1)"}, "return_url", "RETURN_ORIGINS"),
        ({"return_url": "https://app.example/\n"}, "return_url", "RETURN_ORIGINS"),
        ({"return_url": ""}, "return_url", "between 1 and 2000"),
        ({"channel": ""}, "channel", "between 1 and 50"),
        ({"next_action": {}}, "next_action", "Unknown field"),
    ],
)
def test_what_can_t_be_said_of_a_payer(
    client: FlaskClient, said: dict[str, Any], field: str, says: str
) -> None:
    order = an_order(payment_token="tok_requires_action", **said)
    refused = client.post("/v1/payments/charge", json=order, headers={"Idempotency-Key": a_key()})
    assert refused.status_code == 422
    assert list(refused.json["errors"]) == [field]
    assert says in str(refused.json["errors"][field])
    there = client.get(f"/v1/payments/order/{order['order_id']}")
    assert there.status_code == 404


def test_where_nobody_can_be_led_back(make_app: MakeApp) -> None:
    nowhere = charged(make_app(return_origins=APP).test_client(), **SAID)
    assert (nowhere.status_code, list(nowhere.json["errors"])) == (422, ["return_url"])
    keyless = charged(make_app(encryption_keys=None).test_client(), payer=PAYER)
    assert (keyless.status_code, list(keyless.json["errors"])) == (422, ["payer"])


def test_without_keys_the_outcome_is_kept_all_the_same(make_app: MakeApp) -> None:
    """Nothing can be kept for the payer, and whoever charges is told."""
    app = make_app(encryption_keys=None)
    client = app.test_client()
    waits = client.post("/v1/payments", json=an_order()).json["payment_id"]
    # As a payment of before tokens were encrypted has it: a new one is refused without keys.
    sent = "UPDATE payments SET payment_token = 'tok_requires_action' WHERE payment_id = :id"
    execute(app, sent, id=waits)
    answer = post(client, f"/v1/payments/{waits}/charge")
    assert answer.json["next_action"]["url"].startswith("http")
    read = client.get(f"/v1/payments/{answer.json['payment_id']}").json
    assert (read["status"], list(read["next_action"])) == (
        "REQUIRES_ACTION",
        ["type", "expires_at"],
    )


def test_a_return_url_of_an_origin_that_went_away_leads_nobody(
    make_app: MakeApp, client: FlaskClient
) -> None:
    path = path_of(charged(client, **SAID))
    other = make_app(public_url=PUBLIC, return_origins="https://other.example").test_client()
    over = f"{path}/return?look={pay.LOOKS}"
    assert f"{APP}/done" in client.get(over).text
    assert f"{APP}/done" not in other.get(over).text


def test_a_retry_with_another_payer_is_another_request(client: FlaskClient) -> None:
    key = a_key()
    order = an_order(payment_token="tok_requires_action", **SAID)
    first = charged(client, key, **order)
    assert charged(client, key, **order).json["payment_id"] == first.json["payment_id"]
    for name, value in (("payer", PAYER | {"phone": "+46701740606"}), ("channel", "other")):
        other = charged(client, key, **order | {name: value})
        assert (other.status_code, list(other.json["errors"])) == (422, [name])


def everything_kept(app: Flask) -> str:
    """All rows of all tables as a dump shows them, and each bytea as the text that it may be."""
    with app.app_context():
        tables = inspect(db.engine).get_table_names()
    found = [json.dumps(rows(app, f'SELECT * FROM "{table}"'), default=_plain) for table in tables]
    return "\n".join(found)


def _plain(value: Any) -> str:
    kept = isinstance(value, bytes | memoryview)
    return bytes(value).decode("latin1") if kept else str(value)


def test_nothing_of_the_payer_is_kept_or_told_in_clear(
    app: Flask, client: FlaskClient, provider: Paged, sandbox: Sandbox
) -> None:
    """tests/test_canaries.py looks into the log."""
    provider.gives = {"type": "redirect", "url": "https://their.example/canary-page", "form": FORM}
    answer = charged(client, provider="paged", rider_id=1, **SAID)
    kept = everything_kept(app)  # while it waits: the row forgets the page when that is over
    path = path_of(answer)
    client.post(f"{path}/return?name=Canary", data=PAYER)
    act(sandbox, answer, "approve")
    look_up(app, answer)
    kept += everything_kept(app)
    assert answer.json["reference"] in kept
    assert path.rsplit("/", 1)[1] not in kept
    events = client.get(f"/v1/payments/{answer.json['payment_id']}/events").text
    listed = client.get(f"/v1/payments?order_id={answer.json['order_id']}").text
    command = repr(Charge(said=Said(Payer(**PAYER), str(SAID["return_url"]), None)))
    for secret in SECRETS:
        for place in (kept, events, listed, command, repr(provider.asked)):
            assert secret not in place


def test_two_tabs_and_reloads_pay_once(app: Flask, client: FlaskClient, sandbox: Sandbox) -> None:
    answer = charged(client, **SAID)
    path = path_of(answer)

    def tab(_: int) -> str | None:
        sent = app.test_client().get(path)
        assert sent.status_code == 303
        act(sandbox, answer, "approve")
        app.test_client().post(f"{path}/return")
        return sent.headers["Location"]

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(tab, range(4)))) == 1
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: look_up(app, answer), range(4)))
    payment_id = answer.json["payment_id"]
    paid = client.get(f"/v1/payments/{payment_id}").json
    assert (paid["status"], paid["amount_captured"]) == ("SUCCESS", "100.00")
    requests_of_it = rows(app, "SELECT * FROM transactions WHERE payment_id = :id", id=payment_id)
    assert len(requests_of_it) == 1
    succeeded = "SELECT * FROM events WHERE payment_id = :id AND type = 'payment.succeeded'"
    assert len(rows(app, succeeded, id=payment_id)) == 1
    charges = requests.get(f"{sandbox.url}/psp/charges", timeout=PATIENCE).json()["charges"]
    assert len([one for one in charges if one["reference"].startswith(paid["reference"])]) == 1


def test_a_wait_that_is_over_sends_nobody_on(app: Flask, client: FlaskClient) -> None:
    answer = charged(client, **SAID)
    over = "UPDATE payments SET expires_at = now() WHERE payment_id = :id"
    execute(app, over, id=answer.json["payment_id"])
    page = client.get(path_of(answer))
    assert (page.status_code, "no longer waits" in page.text) == (200, True)


def test_each_language_says_the_same_things(client: FlaskClient) -> None:
    english = pay_pages.catalogs()["en"]
    for language, words in pay_pages.catalogs().items():
        assert words.keys() == english.keys(), language
        assert all(words.values())
        assert words["direction"] in ("ltr", "rtl")
    path = f"{path_of(charged(client, **SAID))}/return?look=1"
    for asked, language, says in (
        ("sv-SE,sv;q=0.9,en;q=0.8", "sv", "Ett ögonblick"),
        ("ar-IQ", "ar", "لحظة من فضلك"),
        ("ms", "ms", "Sebentar"),
        ("tlh, x;q=0.3", "en", "One moment"),
        ("", "en", "One moment"),
    ):
        page = client.get(path, headers={"Accept-Language": asked})
        assert page.headers["Content-Language"] == language
        assert f'<html lang="{language}"' in page.text
        assert says in page.text
    assert 'dir="rtl"' in client.get(path, headers={"Accept-Language": "ar"}).text


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://app.example/x?y#z", "https://app.example"),
        ("https://APP.example:443", "https://app.example"),
        ("https://app.example:8443/", "https://app.example:8443"),
        ("http://[::1]:3000/", "http://[::1]:3000"),
        ("https://app.example:0/", None),
        ("ftp://app.example/", None),
        ("https:/app.example", None),
        ("https://app.example\t.evil/", None),
        ("https://äpp.example/", None),
    ],
)
def test_the_origin_of_an_address(address: str, origin: str | None) -> None:
    assert urls.origin_of(address) == origin
