"""Whole payments in dinars, from the charge to the last refund: ZainCash's page, FIB's app."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient

from payment_service.sandbox.dialects.zaincash.signing import news_of
from payment_service.services import audit, expiry
from payment_service.services.moves import resolution
from tests.books import execute, payment_row, post, row, rows
from tests.clocks import an_hour_later, look_up
from tests.fixtures import IN_PRODUCTION, MakeApp, an_order
from tests.harness_fib import SECRET
from tests.patience import CLOCKLESS, PATIENCE
from tests.sandbox_calls import arm, get
from tests.sandbox_calls import post as tell
from tests.sandbox_server import Sandbox

PLACES = {"WALLET": ("zaincash", "/zaincash/pay/"), "CARD": ("fib", "/fib/app/")}


@pytest.fixture(scope="module")
def house(make_app: MakeApp, sandbox: Sandbox) -> Flask:
    return make_app(
        **CLOCKLESS,
        public_url="https://pay.example",
        encryption_keys=IN_PRODUCTION["encryption_keys"],
        provider_routes="CARD:IQD=fib,WALLET:IQD=zaincash,CARD=sandbox",
        zaincash_url=f"{sandbox.url}/zaincash",
        zaincash_client_id="us",
        zaincash_client_secret=SECRET,
        zaincash_api_key="the-sandbox-signs-as-zaincash-with-this-key",
        zaincash_service_type="Rides",
        fib_url=f"{sandbox.url}/fib",
        fib_client_id="us",
        fib_client_secret=SECRET,
    )


@pytest.fixture
def client(house: Flask) -> FlaskClient:
    return house.test_client()


def waiting(client: FlaskClient, method: str, **changes: Any) -> dict[str, Any]:
    """A payment of 1500 dinars whose payer has the page, or the app's link."""
    order = an_order(method=method, amount="1500", currency="IQD") | changes
    answer = post(client, "/v1/payments/charge", **order)
    assert (answer.status_code, answer.json["status"]) == (202, "REQUIRES_ACTION"), answer.json
    assert answer.json["provider"] == PLACES[method][0]
    found: dict[str, Any] = answer.json
    return found


def acts(house: Flask, sandbox: Sandbox, payment: dict[str, Any], outcome: str) -> None:
    """The payer, or the bank, decides; and the worker looks it up."""
    place = PLACES[payment["method"]][1]
    known_as = payment_row(house, payment["payment_id"])["provider_reference"]
    assert tell(sandbox, f"{place}{known_as}", outcome=outcome).ok
    look_up(house, payment["payment_id"])


def status(house: Flask, payment: dict[str, Any]) -> str:
    found: str = payment_row(house, payment["payment_id"])["status"]
    return found


def fits(house: Flask, payment: dict[str, Any]) -> None:
    """Audit finds every column as the events say."""
    with house.app_context():
        assert audit.verify(payment_id=payment["payment_id"]).broken == ()


def refund(client: FlaskClient, payment: dict[str, Any], **body: Any) -> Any:
    return post(client, f"/v1/payments/{payment['payment_id']}/refund", **body)


@pytest.mark.parametrize("method", PLACES)
@pytest.mark.parametrize(
    ("outcome", "ends"), [("approve", ("SUCCESS", None)), ("decline", ("FAILED", "a no"))]
)
def test_a_payer_decides(
    house: Flask,
    client: FlaskClient,
    sandbox: Sandbox,
    method: str,
    outcome: str,
    ends: tuple[str, str | None],
) -> None:
    payment = waiting(client, method)
    look_up(house, payment["payment_id"])
    assert status(house, payment) == "REQUIRES_ACTION"
    acts(house, sandbox, payment, outcome)
    assert status(house, payment) == ends[0]
    code = payment_row(house, payment["payment_id"])["failure_code"]
    no = {"CARD": "cancelled_by_payer", "WALLET": "provider_declined"}[method]
    assert code == (no if ends[1] else None)
    fits(house, payment)


@pytest.mark.parametrize("method", PLACES)
def test_a_part_of_a_dinar_is_refused(client: FlaskClient, method: str) -> None:
    answer = post(
        client,
        "/v1/payments/charge",
        **an_order(method=method, amount="1500.001", currency="IQD"),
    )
    assert (answer.status_code, answer.json["code"]) == (422, "method_not_supported")


def test_zaincash_is_asked_for_no_less_than_it_takes(client: FlaskClient) -> None:
    """Nor is the caller told to ask again later for what can never succeed."""
    order = an_order(method="WALLET", amount="249", currency="IQD")
    for _ in range(2):
        answer = post(client, "/v1/payments/charge", **order)
        assert (answer.status_code, answer.json["code"]) == (422, "method_not_supported")
        assert answer.json["errors"] == {"amount": ["must be at least 250.000 IQD"]}
    assert client.get(f"/v1/payments/order/{order['order_id']}").status_code == 404
    waiting(client, "WALLET", amount="250")


@pytest.mark.parametrize("method", PLACES)
def test_a_page_whose_answer_is_lost_can_be_asked_for_again(
    client: FlaskClient, sandbox: Sandbox, method: str
) -> None:
    dialect = PLACES[method][0]
    order = an_order(method=method, amount="1500", currency="IQD")
    arm(sandbox, "charge", "do_and_lose_answer", match={"dialect": dialect})
    answer = post(client, "/v1/payments/charge", **order)
    assert (answer.status_code, answer.json["code"]) == (503, "provider_unavailable")
    again = post(client, "/v1/payments/charge", **order)
    assert (again.status_code, again.json["status"]) == (202, "REQUIRES_ACTION")


def test_what_the_wallet_took_a_person_gives_back(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment = waiting(client, "WALLET")
    url = f"/v1/payments/{payment['payment_id']}/status"
    # Of the charge the wallet says how it ended, and no person.
    assert client.patch(url, json={"status": "SUCCESS"}).status_code == 409
    acts(house, sandbox, payment, "approve")
    asked = refund(client, payment, amount="500")
    assert (asked.status_code, asked.json["refund_status"]) == (202, "PENDING")
    look_up(house, payment["payment_id"])
    refund_url = f"/v1/refunds/{asked.json['refund_id']}"
    assert client.get(refund_url).json["status"] == "PENDING"
    given = client.patch(f"{refund_url}/status", json={"status": "SUCCESS", "reason": "by phone"})
    assert (given.status_code, given.json["status"]) == (200, "SUCCESS")
    assert status(house, payment) == "PARTIALLY_REFUNDED"
    rest = refund(client, payment).json
    refused = client.patch(f"/v1/refunds/{rest['refund_id']}/status", json={"status": "FAILED"})
    assert refused.json["failure_code"] == "not_handed_over"
    assert payment_row(house, payment["payment_id"])["refund_pending"] == 0
    fits(house, payment)


def test_a_person_takes_no_money_for_the_wallet(house: Flask, client: FlaskClient) -> None:
    """Not before it was asked for any, either: only its refunds are a person's."""
    order = an_order(method="WALLET", amount="1500", currency="IQD")
    made = post(client, "/v1/payments", **order)
    assert (made.status_code, made.json["status"]) == (201, "PENDING"), made.json
    url = f"/v1/payments/{made.json['payment_id']}/status"
    assert client.patch(url, json={"status": "SUCCESS"}).status_code == 409
    assert status(house, made.json) == "PENDING"


def test_what_the_bank_took_it_gives_back_once_and_whole(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment = waiting(client, "CARD")
    acts(house, sandbox, payment, "approve")
    part = refund(client, payment, amount="500")
    assert (part.status_code, part.json["code"]) == (422, "partial_refund_not_supported")
    asked = refund(client, payment)
    assert (asked.status_code, asked.json["refund_status"]) == (202, "PENDING")
    by_hand = client.patch(
        f"/v1/refunds/{asked.json['refund_id']}/status", json={"status": "SUCCESS"}
    )
    assert (by_hand.status_code, by_hand.json["code"]) == (409, "illegal_transition")
    acts(house, sandbox, payment, "approve")
    assert status(house, payment) == "REFUNDED"
    fits(house, payment)


def hours_later(house: Flask, payment: dict[str, Any]) -> None:
    """The worker has looked the payment up in each of three hours."""
    for _ in range(3):
        an_hour_later(house, payment["payment_id"])
        look_up(house, payment["payment_id"])


def test_a_refund_that_the_bank_took_and_does_not_show_is_ended_by_a_person(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    """It may be given yet, so its money is not free for another refund; and the bank says no no."""
    payment = waiting(client, "CARD")
    acts(house, sandbox, payment, "approve")
    refund_url = f"/v1/refunds/{refund(client, payment).json['refund_id']}"
    acts(house, sandbox, payment, "decline")
    early = client.patch(f"{refund_url}/status", json={"status": "FAILED"})
    assert (early.status_code, early.json["code"]) == (409, "illegal_transition")
    hours_later(house, payment)
    assert client.get(refund_url).json["status"] == "PENDING"
    assert refund(client, payment).status_code == 422
    ended = client.patch(f"{refund_url}/status", json={"status": "FAILED", "reason": "by phone"})
    assert (ended.status_code, ended.json["status"]) == (200, "FAILED")
    assert status(house, payment) == "SUCCESS"
    assert refund(client, payment).status_code == 202


def takes_up(house: Flask, sandbox: Sandbox, payment: dict[str, Any]) -> None:
    """The bank goes on with the refund after all, by itself."""
    known_as = payment_row(house, payment["payment_id"])["provider_reference"]
    asked = {"grant_type": "client_credentials", "client_id": "us", "client_secret": SECRET}
    url = f"{sandbox.url}/fib/auth/realms/fib-online-shop/protocol/openid-connect/token"
    token = requests.post(url, data=asked, timeout=PATIENCE).json()["access_token"]
    url = f"{sandbox.url}/fib/protected/v1/payments/{known_as}/refund"
    bearer = {"Authorization": f"Bearer {token}"}
    assert requests.post(url, headers=bearer, timeout=PATIENCE).status_code == 202


def taken_and_not_shown(house: Flask, client: FlaskClient, sandbox: Sandbox) -> tuple[Any, str]:
    """A payment with a refund that the bank took and does not show, and the refund's URL."""
    payment = waiting(client, "CARD")
    acts(house, sandbox, payment, "approve")
    refund_url = f"/v1/refunds/{refund(client, payment).json['refund_id']}"
    acts(house, sandbox, payment, "decline")
    hours_later(house, payment)
    return payment, refund_url


def test_a_refund_that_the_bank_shows_again_is_no_person_s_to_end(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment, refund_url = taken_and_not_shown(house, client, sandbox)
    takes_up(house, sandbox, payment)
    look_up(house, payment["payment_id"])
    ended = client.patch(f"{refund_url}/status", json={"status": "FAILED"})
    assert (ended.status_code, ended.json["code"]) == (409, "illegal_transition")
    acts(house, sandbox, payment, "approve")
    assert status(house, payment) == "REFUNDED"


def test_a_refund_that_a_person_gave_up_is_looked_up_all_the_same(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment, refund_url = taken_and_not_shown(house, client, sandbox)
    assert client.patch(f"{refund_url}/status", json={"status": "FAILED"}).status_code == 200
    assert status(house, payment) == "SUCCESS"
    look_up(house, payment["payment_id"])
    takes_up(house, sandbox, payment)
    acts(house, sandbox, payment, "approve")
    assert status(house, payment) == "REFUNDED"
    assert client.get(refund_url).json["status"] == "SUCCESS"


def test_a_refund_that_never_arrived_at_the_bank_was_not_received(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment = waiting(client, "CARD")
    acts(house, sandbox, payment, "approve")
    known_as = payment_row(house, payment["payment_id"])["provider_reference"]
    match = {"dialect": "fib", "paymentId": known_as}
    arm(sandbox, "refund", "fail_500", match=match)
    refund_id = refund(client, payment).json["refund_id"]
    hours_later(house, payment)
    found = client.get(f"/v1/refunds/{refund_id}").json
    assert (found["status"], found["failure_code"]) == ("FAILED", "not_received")
    assert refund(client, payment).status_code == 202


def test_the_bank_says_that_the_payer_s_time_is_over(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment = waiting(client, "CARD")
    acts(house, sandbox, payment, "expire")
    assert status(house, payment) == "EXPIRED"
    fits(house, payment)


@pytest.mark.parametrize("how", [None, "do_and_lose_answer", "fail_500"])
def test_a_wait_that_is_over_is_cancelled_at_the_bank(
    house: Flask, client: FlaskClient, sandbox: Sandbox, how: str | None
) -> None:
    payment = waiting(client, "CARD")
    known_as = payment_row(house, payment["payment_id"])["provider_reference"]
    if how:
        arm(sandbox, "void", how, match={"paymentId": known_as})
    for _ in range(3):
        execute(
            house,
            "UPDATE payments SET expires_at = '2020-01-01' WHERE payment_id = :id"
            " AND status = 'REQUIRES_ACTION'",
            id=payment["payment_id"],
        )
        with house.app_context():
            expiry.run_once()
        for _ in range(3):
            an_hour_later(house, payment["payment_id"])
            look_up(house, payment["payment_id"])
    (at_bank,) = [one for one in get(sandbox, "/fib/books")["payments"] if one["id"] == known_as]
    assert (at_bank["status"], at_bank["decliningReason"]) == ("DECLINED", "PAYMENT_CANCELLATION")
    assert status(house, payment) in ("EXPIRED", "FAILED")
    query = (
        "SELECT count(*) AS n FROM transactions WHERE payment_id = :id AND status = 'PROCESSING'"
    )
    assert row(house, query, id=payment["payment_id"])["n"] == 0


def test_a_void_whose_answer_is_lost_ends_though_the_charge_is_looked_up_first(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment = waiting(client, "CARD")
    payment_id = payment["payment_id"]
    known_as = payment_row(house, payment_id)["provider_reference"]
    arm(sandbox, "void", "do_and_lose_answer", match={"paymentId": known_as})
    execute(
        house,
        "UPDATE payments SET expires_at = '2020-01-01' WHERE payment_id = :id",
        id=payment_id,
    )
    with house.app_context():
        expiry.run_once()
        resolution.resolve(payment_id=payment_id, number=1)
        resolution.resolve(payment_id=payment_id, number=2)
    assert status(house, payment) in ("EXPIRED", "FAILED")
    query = "SELECT status FROM transactions WHERE payment_id = :id ORDER BY number"
    assert [one["status"] for one in rows(house, query, id=payment_id)] == ["FAILED", "SUCCESS"]
    fits(house, payment)


# What comes in


def at_bank(house: Flask, sandbox: Sandbox, payment: dict[str, Any]) -> dict[str, Any]:
    """The payment in the books of its provider."""
    known_as = payment_row(house, payment["payment_id"])["provider_reference"]
    dialect, noun = {"CARD": ("fib", "payments"), "WALLET": ("zaincash", "transactions")}[
        payment["method"]
    ]
    (found,) = [one for one in get(sandbox, f"/{dialect}/books")[noun] if one["id"] == known_as]
    return dict(found)


def called_back(client: FlaskClient, told: dict[str, Any], url: str) -> int:
    """Our answer to the bank's callback."""
    return client.post(url.removeprefix("https://pay.example"), json=told).status_code


def test_the_bank_s_callback_only_makes_us_look(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    payment = waiting(client, "CARD")
    row_there = at_bank(house, sandbox, payment)
    url, told = row_there["statusCallbackUrl"], {"id": row_there["id"], "status": "PAID"}
    before = payment_row(house, payment["payment_id"])
    assert called_back(client, told, url[:-1] + ("0" if url[-1] != "0" else "1")) == 400
    assert [called_back(client, told, url) for _ in range(3)] == [202, 202, 202]
    assert payment_row(house, payment["payment_id"]) == before
    query = "SELECT due_at <= now() AS due FROM transactions WHERE payment_id = :id"
    assert row(house, query, id=payment["payment_id"])["due"]
    look_up(house, payment["payment_id"])
    assert status(house, payment) == "REQUIRES_ACTION"  # it was not true
    query = "SELECT deliveries, trust FROM webhooks WHERE payment_id = :id"
    kept = row(house, query, id=payment["payment_id"])
    assert kept == {"deliveries": 3, "trust": "UNSIGNED"}


def test_the_bank_s_callback_of_a_refund_has_the_refund_looked_up(
    house: Flask, client: FlaskClient, sandbox: Sandbox
) -> None:
    """It names the payment, whose charge ended long before. With nothing open it is no news."""
    payment = waiting(client, "CARD")
    payment_id = payment["payment_id"]
    acts(house, sandbox, payment, "approve")
    there = at_bank(house, sandbox, payment)
    refund_url = f"/v1/refunds/{refund(client, payment).json['refund_id']}"
    assert tell(sandbox, f"/fib/app/{there['id']}", outcome="approve").ok
    later = "UPDATE transactions SET due_at = now() + interval '1 hour'"
    execute(house, f"{later} WHERE due_at IS NOT NULL")
    told = {"id": there["id"], "status": "REFUNDED"}
    assert called_back(client, told, there["statusCallbackUrl"]) == 202
    query = "SELECT type FROM transactions WHERE payment_id = :id AND due_at <= now()"
    assert rows(house, query, id=payment_id) == [{"type": "REFUND"}]
    with house.app_context():
        resolution.run_once("fib")
    assert client.get(refund_url).json["status"] == "SUCCESS"
    assert called_back(client, told | {"status": "PAID"}, there["statusCallbackUrl"]) == 202
    query = "SELECT status FROM webhooks WHERE payment_id = :id ORDER BY webhook_id"
    assert [one["status"] for one in rows(house, query, id=payment_id)] == ["APPLIED", "NO_NEWS"]


@pytest.mark.parametrize(
    ("outcome", "lie", "ends"),
    [
        ("approve", None, "REQUIRES_ACTION"),  # looked up before it is believed
        ("decline", None, "FAILED"),
        ("decline", "other_merchant", "REQUIRES_ACTION"),
        ("decline", "other_key", None),
        ("decline", "bad_signature", None),
    ],
)
def test_the_wallet_s_news(
    house: Flask,
    client: FlaskClient,
    sandbox: Sandbox,
    outcome: str,
    lie: str | None,
    ends: str | None,
) -> None:
    payment = waiting(client, "WALLET")
    before = payment_row(house, payment["payment_id"])
    assert tell(sandbox, f"/zaincash/pay/{before['provider_reference']}", outcome=outcome).ok
    token = news_of(at_bank(house, sandbox, payment), lie)
    answer = client.post("/v1/webhooks/zaincash", json={"webhook_token": token})
    assert answer.status_code == (200 if ends else 400)
    if ends == "FAILED":
        assert status(house, payment) == ends
        fits(house, payment)
    else:
        assert payment_row(house, payment["payment_id"]) == before
    look_up(house, payment["payment_id"])
    assert status(house, payment) == ("SUCCESS" if outcome == "approve" else "FAILED")
