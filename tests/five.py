"""One app with all five providers, whose payers pay at the sandbox, and the webhook that comes of
it as the sandbox sends it. Nothing of that arrives by itself: tests deliver it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from flask import Flask
from flask.testing import FlaskClient

from payment_service.extensions import db
from payment_service.sandbox.dialects.stripe.events import SECRET as STRIPE_SECRET
from payment_service.sandbox.dialects.zaincash.signing import KEY as ZAINCASH_KEY
from payment_service.services.moves import pages
from tests import harness_fib, harness_swish
from tests.books import post
from tests.fixtures import an_order
from tests.harness_fiuu import KEYS
from tests.patience import CLOCKLESS, PATIENCE
from tests.sandbox_calls import eventually, get
from tests.sandbox_calls import post as say
from tests.sandbox_server import Sandbox
from tests.stripe_calls import KEY

NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Sent:
    """A webhook as it arrives."""

    body: bytes
    headers: Mapping[str, str]
    query: str = ""


@dataclass(frozen=True)
class Way:
    """How one provider is paid by: what a charge says, how the payer pays at the sandbox, and what
    the sandbox calls the news of it. `believed`: what is true of it is taken as it is, and not
    looked up first."""

    order: Mapping[str, Any]
    pays: Callable[[Sandbox, str, str], requests.Response]
    news: str
    believed: bool = False


def _form(sandbox: Sandbox, path: str, **fields: str) -> requests.Response:
    return requests.post(sandbox.url + path, data=fields, timeout=PATIENCE)


WAYS: dict[str, Way] = {
    "stripe": Way(
        {"currency": "INR", "method": "CARD", "payment_token": "pm_card_authenticationRequired"},
        lambda sandbox, _, known_as: say(sandbox, f"/stripe/3ds/{known_as}", outcome="approve"),
        "payment_intent.succeeded",
        believed=True,
    ),
    "fiuu": Way(
        {"currency": "MYR", "method": "CARD"},
        lambda sandbox, order, _: _form(
            sandbox, f"/fiuu/orders/{order}", word="yes", **{"as": "json"}
        ),
        "00",
        believed=True,
    ),
    "zaincash": Way(
        {"currency": "IQD", "method": "WALLET"},
        lambda sandbox, _, known_as: say(sandbox, f"/zaincash/pay/{known_as}", outcome="approve"),
        "SUCCESS",
    ),
    "fib": Way(
        {"currency": "IQD", "method": "CARD"},
        lambda sandbox, _, known_as: say(sandbox, f"/fib/app/{known_as}", outcome="approve"),
        "PAID",
    ),
    "swish": Way(
        {"currency": "SEK", "method": "SWISH"},
        lambda sandbox, _, known_as: say(sandbox, f"/swish/phones/{known_as}", outcome="approve"),
        "PAID",
    ),
}
AMOUNT = "2000"


def settings_of(sandbox: Sandbox) -> dict[str, Any]:
    """Those with which all five are on, at this sandbox."""
    tls = sandbox.authority.tls(harness_swish.ALIAS)
    return {
        "public_url": NOWHERE,
        "rate_limit_webhook_refusals": "1000000 per second",
        "provider_routes": "CARD:MYR=fiuu,CARD:IQD=fib,WALLET:IQD=zaincash,SWISH=swish,CARD=stripe",
        "stripe_api_key": KEY,
        "stripe_api_base": f"{sandbox.url}/stripe",
        "stripe_webhook_secret": STRIPE_SECRET,
        "fiuu_merchant_id": KEYS.merchant,
        "fiuu_verify_key": KEYS.verify_key,
        "fiuu_secret_key": KEYS.secret_key,
        "fiuu_pay_url": f"{sandbox.url}/fiuu",
        "fiuu_api_url": f"{sandbox.url}/fiuu",
        "zaincash_url": f"{sandbox.url}/zaincash",
        "zaincash_client_id": "us",
        "zaincash_client_secret": harness_fib.SECRET,
        "zaincash_api_key": ZAINCASH_KEY,
        "zaincash_service_type": "Rides",
        "fib_url": f"{sandbox.url}/fib",
        "fib_client_id": "us",
        "fib_client_secret": harness_fib.SECRET,
        "swish_api_url": sandbox.swish_url,
        "swish_cert_path": tls.cert,
        "swish_key_path": tls.key,
        "swish_ca_path": tls.ca,
        "swish_payee_alias": harness_swish.ALIAS,
        "swish_callback_secret": harness_swish.SECRET,
    } | CLOCKLESS


@contextmanager
def told_nowhere(sandbox: Sandbox) -> Iterator[None]:
    """The sandbox keeps what its providers say, and reaches nobody with it."""
    url = f"{sandbox.url}/sandbox/webhooks"
    assert requests.put(url, json={"url": f"{NOWHERE}/v1/webhooks"}, timeout=PATIENCE).ok
    yield
    assert requests.put(url, json={"url": None}, timeout=PATIENCE).ok


def waiting(client: FlaskClient, provider: str) -> dict[str, Any]:
    """A payment of 2000 whose payer has what it takes to pay: its answer."""
    order = an_order(amount=AMOUNT, **WAYS[provider].order)
    answer = post(client, "/v1/payments/charge", **order)
    assert (answer.status_code, answer.json["status"]) == (202, "REQUIRES_ACTION"), answer.json
    assert answer.json["provider"] == provider
    found: dict[str, Any] = answer.json
    return found


def reference_of(payment: Mapping[str, Any]) -> str:
    """That of its charge."""
    return f"{payment['reference']}-1"


def pay(app: Flask, sandbox: Sandbox, payment: Mapping[str, Any]) -> Sent:
    """The payer pays; what the provider then says."""
    name, reference = payment["provider"], reference_of(payment)
    way = WAYS[name]
    if name == "fiuu":  # its page is opened by the payer's browser, and not before
        page = action_of(app, payment)
        opened = requests.post(page["url"], data=page["form"], timeout=PATIENCE)
        assert opened.status_code == 200, opened.text
    known_as = payment["transaction_id"] or ""
    answer = way.pays(sandbox, reference, known_as)
    assert answer.ok, answer.text

    def told() -> list[Sent]:
        return [sent for event, sent in news(sandbox, payment) if event == way.news]

    eventually(told)
    return told()[-1]


def action_of(app: Flask, payment: Mapping[str, Any]) -> Any:
    """What the provider gave for the payer, as it is kept."""
    with app.app_context(), db.engine.connect() as connection:
        return pages.read(connection, payment["payment_id"]).page


def news(sandbox: Sandbox, payment: Mapping[str, Any]) -> list[tuple[str, Sent]]:
    """All that the provider has said of the payment and of its refunds, oldest first, each with
    what the sandbox calls it."""
    told = get(sandbox, "/sandbox/webhooks")["webhooks"]
    reference, known_as = _plain(payment["reference"]), payment["transaction_id"]
    return [
        (one["event"], Sent(one["body"].encode(), one["headers"], urlsplit(one["url"] or "").query))
        for one in told
        if one["dialect"] == payment["provider"]
        and (_plain(one["reference"]).startswith(reference) or one["reference"] == known_as)
    ]


def _plain(reference: object) -> str:
    return str(reference).replace("-", "")


def deliver(client: FlaskClient, provider: str, sent: Sent) -> Any:
    """As the provider does."""
    return client.post(
        f"/v1/webhooks/{provider}",
        data=sent.body,
        headers=dict(sent.headers),
        query_string=sent.query,
    )
