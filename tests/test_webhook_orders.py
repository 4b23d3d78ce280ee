"""What each of the five providers says of one payment, in any order, with repeats, and with the
worker at work in between: the end is the same, and it is the provider's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from payment_service.services import audit, expiry, giving_back
from payment_service.services.moves import resolution
from tests import five, harness_swish, stripe_calls
from tests.books import payment_row, post, rows
from tests.campaign.dialects import DIALECTS
from tests.clocks import look_up
from tests.fixtures import MakeApp, an_order
from tests.patience import PATIENCE
from tests.sandbox_calls import eventually
from tests.sandbox_calls import post as say
from tests.sandbox_server import Sandbox

pytestmark = pytest.mark.slow  # each example is a payment of its own

Act = Callable[[Flask, Sandbox, dict[str, Any]], None]


@dataclass(frozen=True)
class Story:
    """What happens at the provider before we hear any of it, what it says of it, and how the
    payment must then stand: its status, and what was given back of it in all."""

    provider: str
    happens: tuple[Act, ...]
    said: tuple[str, ...]
    ending: str
    refunded: int = 0
    order: tuple[tuple[str, Any], ...] = ()


def _says(path: str, outcome: str) -> Act:
    def act(_: Flask, sandbox: Sandbox, payment: dict[str, Any]) -> None:
        answer = say(sandbox, path.format(payment["transaction_id"]), outcome=outcome)
        assert answer.ok, answer.text

    return act


def _tries_again(_: Flask, sandbox: Sandbox, payment: dict[str, Any]) -> None:
    path = f"/v1/payment_intents/{payment['transaction_id']}/confirm"
    said = {"payment_method": "pm_card_visa"}
    assert stripe_calls.ask(sandbox, "POST", path, data=said).ok


def _fiuu(word: str) -> Act:
    def act(app: Flask, sandbox: Sandbox, payment: dict[str, Any]) -> None:
        page = five.action_of(app, payment)
        requests.post(page["url"], data=page["form"], timeout=PATIENCE).raise_for_status()
        url = f"{sandbox.url}/fiuu/orders/{five.reference_of(payment)}"
        said = {"word": word, "as": "json"}
        requests.post(url, data=said, timeout=PATIENCE).raise_for_status()

    return act


def _given_back(app: Flask, _: Sandbox, payment: dict[str, Any]) -> None:
    """We know that it was paid, and ask for all of it."""
    look_up(app, payment["payment_id"])
    answer = post(app.test_client(), f"/v1/payments/{payment['payment_id']}/refund")
    assert answer.status_code in (200, 201, 202), answer.json


def _bank(path: str, outcome: str) -> Act:
    """Of the refund, by what the provider calls it."""

    def act(app: Flask, sandbox: Sandbox, payment: dict[str, Any]) -> None:
        query = "SELECT provider_reference AS it FROM transactions WHERE payment_id = :id"
        [asked] = rows(app, f"{query} AND type = 'REFUND'", id=payment["payment_id"])
        answer = say(sandbox, path.format(asked["it"]), outcome=outcome)
        assert answer.ok, answer.text

    return act


STORIES = {
    "stripe, a no and another try": Story(
        "stripe",
        (_says("/stripe/3ds/{}", "decline"), _tries_again),
        (
            "payment_intent.requires_action",
            "payment_intent.payment_failed",
            "payment_intent.succeeded",
        ),
        "SUCCESS",
    ),
    "stripe, a refund that fails in the end": Story(
        "stripe",
        (
            _given_back,
            _bank("/stripe/banks/{}", "succeed"),
            _bank("/stripe/banks/{}", "fail"),
        ),
        ("payment_intent.succeeded", "charge.refunded", "refund.updated", "refund.failed"),
        "SUCCESS",
        order=(("payment_token", "pm_card_pendingRefund"),),
    ),
    "fiuu, two tries and a yes": Story(
        "fiuu", (_fiuu("no"), _fiuu("pending"), _fiuu("yes")), ("11", "22", "00"), "SUCCESS"
    ),
    "fiuu, paid twice": Story("fiuu", (_fiuu("yes"), _fiuu("yes")), ("00", "00"), "SUCCESS"),
    "zaincash, a yes": Story(
        "zaincash",
        tuple(_says("/zaincash/pay/{}", word) for word in ("phone", "authenticate", "approve")),
        ("OTP_SENT", "CUSTOMER_AUTHENTICATION_REQUIRED", "SUCCESS"),
        "SUCCESS",
    ),
    "zaincash, a no": Story(
        "zaincash",
        tuple(_says("/zaincash/pay/{}", word) for word in ("phone", "decline")),
        ("OTP_SENT", "FAILED"),
        "FAILED",
    ),
    "fib, given back": Story(
        "fib",
        (_says("/fib/app/{}", "approve"), _given_back, _says("/fib/app/{}", "approve")),
        ("PAID", "REFUND_REQUESTED", "REFUNDED"),
        "REFUNDED",
        refunded=2_000_000,
    ),
    "fib, a no": Story("fib", (_says("/fib/app/{}", "decline"),), ("DECLINED",), "FAILED"),
    "swish, given back": Story(
        "swish",
        (
            _says("/swish/phones/{}", "approve"),
            _given_back,
            _bank("/swish/phones/{}", "approve"),
        ),
        ("PAID", "PAID"),
        "REFUNDED",
        refunded=200_000,
        order=(("payer", {"phone": harness_swish.a_phone("00")}),),  # whose bank takes its time
    ),
}


@pytest.fixture(scope="module")
def house(make_app: MakeApp, sandbox: Sandbox, database_of_module: str) -> Iterator[Flask]:
    with five.told_nowhere(sandbox):
        yield make_app(database_url=database_of_module, **five.settings_of(sandbox))


def happened(house: Flask, sandbox: Sandbox, story: Story) -> tuple[int, list[five.Sent]]:
    """A payment with all that happened to it, and what the provider said of it."""
    order = an_order(amount=five.AMOUNT, **five.WAYS[story.provider].order | dict(story.order))
    payment = post(house.test_client(), "/v1/payments/charge", **order).json
    for act in story.happens:
        act(house, sandbox, payment)
    wanted = Counter(story.said)
    eventually(lambda: Counter(name for name, _ in five.news(sandbox, payment)) >= wanted)
    told = [sent for name, sent in five.news(sandbox, payment) if name in wanted]
    return payment["payment_id"], told


def work(house: Flask) -> None:
    """The worker does what is due by now."""
    with house.app_context():
        resolution.run_once()
        expiry.run_once()
        giving_back.run_once()


def kept_there(sandbox: Sandbox, payment: dict[str, Any]) -> int:
    """What the provider has taken for the payment, less what went back or is about to."""
    dialect = DIALECTS[payment["provider"]]
    plain = payment["reference"].replace("-", "")
    return sum(
        one.captured - one.returned - one.pending
        for one in dialect.read(dialect.open_books(sandbox.url))
        if one.reference.replace("-", "").startswith(plain)
    )


@pytest.mark.parametrize("name", STORIES)
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # to look for a shorter one would take minutes
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_the_end_is_the_provider_s(
    house: Flask, sandbox: Sandbox, name: str, data: st.DataObject
) -> None:
    story = STORIES[name]
    payment_id, said = happened(house, sandbox, story)
    repeated = data.draw(st.lists(st.sampled_from(said), max_size=3))
    for sent in data.draw(st.permutations([*said, *repeated])):
        answer = five.deliver(house.test_client(), story.provider, sent)
        assert answer.status_code in (200, 202), answer.text
        if data.draw(st.booleans()):
            work(house)
    work(house)
    look_up(house, payment_id)
    for _ in range(3):
        work(house)
    payment = payment_row(house, payment_id)
    assert (payment["status"], payment["refunded"]) == (story.ending, story.refunded)
    assert kept_there(sandbox, payment) == payment["captured"] - payment["refunded"]
    query = "SELECT type, count(*) AS n FROM events WHERE payment_id = :id GROUP BY type"
    told = {one["type"]: one["n"] for one in rows(house, query, id=payment_id)}
    assert told.get("payment.succeeded", 0) == int(story.ending != "FAILED")
    assert max(told.values()) == 1, told
    with house.app_context():
        assert audit.verify(payment_id=payment_id).broken == ()
