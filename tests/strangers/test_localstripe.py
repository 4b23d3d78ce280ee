"""Our Stripe provider against localstripe, a Stripe that others wrote. It knows no replay of a key
and no filter of a list, so what needs these is tried with the sandbox."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import requests
from werkzeug.serving import make_server

from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.providers.contract import Operation, Outcome, Payer, Result
from payment_service.providers.stripe import StripeProvider
from payment_service.providers.webhooks import Incoming, Notice
from tests.browsing import Unlogged
from tests.harness import Harness, an_operation, asked, found
from tests.listening import listening
from tests.patience import LIMITS, PATIENCE
from tests.sandbox_server import reserved_port
from tests.strangers.processes import running

KEY, SECRET = "sk_test_localstripe", "whsec_localstripe"
VERSION = "2017-08-15"
"""Of its events."""
CHARGE, AUTHORIZATION = TransactionType.CHARGE, TransactionType.AUTHORIZATION
CAPTURE, VOID, REFUND = TransactionType.CAPTURE, TransactionType.VOID, TransactionType.REFUND

pytestmark = pytest.mark.slow  # it is a process of its own, and sends its webhooks a second late


class Localstripe(Harness):
    """Where it is, and cards of it."""

    method = Method.CARD

    def __init__(self, url: str) -> None:
        self.url = url
        self.provider = StripeProvider(
            KEY, LIMITS, base=url, version=VERSION, webhook_secrets=[SECRET]
        )
        self.token = self.card("4242424242424242")
        self.declined = self.card("4000000000000002"[:12] + "0341")
        self.acting = self.card("4000002500003155")

    def post(self, path: str, **fields: Any) -> dict[str, Any]:
        answer = requests.post(self.url + path, json=fields, auth=(KEY, ""), timeout=PATIENCE)
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    def card(self, number: str) -> str:
        card = {"number": number, "exp_month": 12, "exp_year": 2035, "cvc": "123"}
        token: str = self.post("/v1/payment_methods", type="card", card=card)["id"]
        return token


@pytest.fixture(scope="module")
def localstripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Localstripe]:
    folder: Path = tmp_path_factory.mktemp("localstripe")
    with reserved_port() as port:
        number = port.getsockname()[1]
        command = [sys.executable, "-m", "tests.strangers.localstripe_server", str(number)]
        url = f"http://127.0.0.1:{number}"
        with running(command, url, folder / "server.log"):
            yield Localstripe(url)


@pytest.fixture(scope="module")
def webhooks(localstripe: Localstripe) -> Iterator[SimpleQueue[Incoming]]:
    """What it sends us."""
    came: SimpleQueue[Incoming] = SimpleQueue()

    def take(environ: dict[str, Any], start: Any) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        headers = {"stripe-signature": environ["HTTP_STRIPE_SIGNATURE"]}
        came.put(Incoming(body, headers, {}, datetime.now(UTC)))
        start("200 OK", [])
        return []

    server = make_server("127.0.0.1", 0, take, request_handler=Unlogged)
    with listening(server):
        url = f"http://127.0.0.1:{server.server_port}/"
        localstripe.post("/_config/webhooks/ours", url=url, secret=SECRET)
        yield came


def of(harness: Localstripe, kind: TransactionType, first: Operation, **changes: Any) -> Operation:
    """What is asked for about an earlier operation."""
    about = {"charge_reference": first.reference, "provider_reference": first.known_as}
    return an_operation(harness, kind, **about | changes)


def done(harness: Localstripe, operation: Operation) -> tuple[Result, Operation]:
    """It is taken, and a look-up says so too."""
    result, known = asked(harness, operation)
    assert result.outcome is Outcome.APPROVED
    told, _ = found(harness, known, Outcome.APPROVED)
    assert told.provider_reference == result.provider_reference
    return result, known


def test_a_charge_is_taken_and_refunded_in_parts(localstripe: Localstripe) -> None:
    _, charge = done(localstripe, an_operation(localstripe, CHARGE))
    for amount in (4_000, 6_000):
        result, refund = done(localstripe, of(localstripe, REFUND, charge, amount=amount))
        assert result.amount_approved == amount
        by_list = localstripe.provider.lookup(replace(refund, known_as=None))
        assert by_list is not None
        assert by_list.provider_reference == result.provider_reference
    never = of(localstripe, REFUND, charge, amount=1)
    assert localstripe.provider.lookup(never) is None


def test_a_hold_is_captured_in_part(localstripe: Localstripe) -> None:
    _, hold = done(localstripe, an_operation(localstripe, AUTHORIZATION))
    capture = of(localstripe, CAPTURE, hold, amount=4_000)
    assert localstripe.provider.lookup(capture) is None
    done(localstripe, capture)
    other = localstripe.provider.lookup(of(localstripe, CAPTURE, hold))
    assert other is not None
    assert other.failure_code == "not_capturable"


def test_a_hold_is_released(localstripe: Localstripe) -> None:
    _, hold = done(localstripe, an_operation(localstripe, AUTHORIZATION))
    void = of(localstripe, VOID, hold)
    assert localstripe.provider.lookup(void) is None
    done(localstripe, void)
    found(localstripe, hold, Outcome.DECLINED)


def test_a_declined_card_is_a_no(localstripe: Localstripe) -> None:
    result = localstripe.provider.ask(
        an_operation(localstripe, CHARGE, payment_token=localstripe.declined)
    )
    assert result.outcome is Outcome.DECLINED


@pytest.mark.parametrize("says_yes", [True, False])
def test_a_payer_is_asked(localstripe: Localstripe, says_yes: bool) -> None:
    charge = an_operation(localstripe, CHARGE, payment_token=localstripe.acting)
    result, known = asked(localstripe, charge)
    assert result.outcome is Outcome.REQUIRES_ACTION
    assert result.next_action is not None
    found(localstripe, known, Outcome.REQUIRES_ACTION)
    secret = result.next_action["client_secret"]
    path = f"/v1/payment_intents/{known.known_as}/_authenticate"
    localstripe.post(path, client_secret=secret, success=says_yes)
    told, _ = found(localstripe, known, Outcome.APPROVED if says_yes else Outcome.DECLINED)
    assert told.failure_code == (None if says_yes else "authentication_required")


def test_a_saved_card_is_charged_without_its_payer(localstripe: Localstripe) -> None:
    customer = localstripe.post("/v1/customers", email="nobody@example.com")["id"]
    card = localstripe.card("4242424242424242")
    localstripe.post(f"/v1/payment_methods/{card}/attach", customer=customer)
    payer = Payer(customer=customer)
    done(localstripe, an_operation(localstripe, CHARGE, payer=payer, payment_token=card))


def test_its_webhook_is_believed(localstripe: Localstripe, webhooks: SimpleQueue[Incoming]) -> None:
    result, charge = done(localstripe, an_operation(localstripe, CHARGE))
    while (notice := _notice(localstripe, webhooks)).reference != charge.reference:
        pass  # of a test before this one
    assert notice.event_type == "payment_intent.succeeded"
    assert notice.result is not None
    assert notice.result.provider_reference == result.provider_reference
    assert (notice.amount, notice.currency, notice.mismatch) == (charge.amount, "INR", None)


def _notice(localstripe: Localstripe, webhooks: SimpleQueue[Incoming]) -> Notice:
    assert isinstance(localstripe.provider, StripeProvider)
    (notice,) = localstripe.provider.receive(webhooks.get(timeout=PATIENCE)).notices
    return notice
