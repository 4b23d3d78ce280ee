"""Finding a payment by whatever a person has of it: every reading, by an index, and never an
error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st

from payment_service.domain import finding as pure
from payment_service.domain.finding import Kind, Reading
from payment_service.domain.operators import OutOfReach, Reach, Role
from payment_service.services import finding, finding_queries
from payment_service.services.finding import Finds
from payment_service.services.sessions import Current
from tests.books import a_charged_payment, execute, post, row
from tests.fixtures import MakeApp, a_key, a_number
from tests.operators import KEYS, a_session, an_operator
from tests.operators import app as app  # with operators of its own

OURS = "PAY-20260102-7K2M9QX4TB3A"


@pytest.fixture(scope="module")
def now(app: Flask) -> Current:
    return a_session(an_operator(app, Role.VIEWER))


@pytest.fixture
def paid(app: Flask) -> dict[str, Any]:
    """A payment of which everything is its own."""
    numbers = {name: a_number() for name in ("order_id", "rider_id", "driver_id", "user_id")}
    return a_charged_payment(app.test_client(), **numbers, reference=f"Ride-{a_key()}")


def find(app: Flask, now: Current, pasted: str) -> Finds:
    with app.app_context():
        return finding.find(now, pasted=pasted)


def opened(app: Flask, now: Current, pasted: str) -> Any:
    """The page that opens for it."""
    found = find(app, now, pasted)
    assert found.one is not None, found
    return found.one.opens


# -- what a text may be


def read_as(pasted: str) -> set[tuple[Kind, Any]]:
    return {(one.kind, one.value) for one in pure.read(pasted).readings}


@pytest.mark.parametrize(
    "pasted",
    ["4711", " 4711\n", "#4711", "4 711", '"4711"', "“4711”", "(4711)", "٤٧١١", "４７１１"],  # noqa: RUF001
)
def test_a_bare_number_may_be_any_number(pasted: str) -> None:
    assert {(kind, 4711) for kind in pure.NUMBERS} <= read_as(pasted)


@pytest.mark.parametrize(
    ("pasted", "kind", "value"),
    [
        ("trip:4711", Kind.TRIP, 4711),
        ("TRIP : #4711", Kind.TRIP, 4711),
        ("rider_id=101", Kind.RIDER, 101),
        ("Trip 4711", Kind.TRIP, 4711),
        ("key:trip-32-charge", Kind.KEY, "trip-32-charge"),
        ("Idempotency-Key: a:b", Kind.KEY, "a:b"),
        ("request:0f8fad5b-d9cd", Kind.REQUEST, "0f8fad5b-d9cd"),
        (OURS, Kind.REFERENCE, OURS),
        (OURS.lower(), Kind.REFERENCE, OURS),
        (f"{OURS}-2", Kind.REFERENCE, OURS),
        (f"RCP-{OURS}", Kind.REFERENCE, OURS),
        (f"'{OURS}',", Kind.REFERENCE, OURS),
        ("pay 20260102 7k2m 9qx4 tb3a", Kind.REFERENCE, OURS),
        ("PAY202601027K2M9QX4TB3A", Kind.REFERENCE, OURS),
        ("PAY-20260102-7K2M9QX4TBOI", Kind.REFERENCE, "PAY-20260102-7K2M9QX4TB01"),
        ("rcp-old-7", Kind.REFERENCE, "OLD-7"),
        ("https://pay.example/admin/payments/351", Kind.PAYMENT, 351),
        ("https://pay.example/v1/payments/trip/4711?x=1", Kind.TRIP, 4711),
        ("/v1/refunds/9", Kind.REFUND, 9),
        ("/v1/pay/351/abcd", Kind.PAYMENT, 351),
        ("/admin/payments?status=FAILED&rider_id=101", Kind.RIDER, 101),
        ("/admin/find?q=trip%3A4711", Kind.TRIP, 4711),
        ("https://dash.example/payments/pi_3AbC", Kind.PROVIDER_REFERENCE, "pi_3AbC"),
        ("KWD 1.250", Kind.AMOUNT, (("KWD", 1250),)),
        ("1,04,286.50 INR", Kind.AMOUNT, (("INR", 10428650),)),
        ("amount:jpy 500", Kind.AMOUNT, (("JPY", 500),)),
    ],
)
def test_what_is_forgiven(pasted: str, kind: Kind, value: Any) -> None:
    assert (kind, value) in read_as(pasted)


def test_an_amount_is_of_each_currency_with_so_many_decimals() -> None:
    [amount] = [one for one in pure.read("₹104.86").readings if one.kind == Kind.AMOUNT]
    assert {("INR", 10486), ("KWD", 104860)} <= set(amount.value)  # type: ignore[arg-type]
    assert "JPY" not in dict(amount.value)  # type: ignore[arg-type]


def test_a_prefix_leaves_one_reading() -> None:
    assert read_as("trip:4711") == {(Kind.TRIP, 4711)}


@pytest.mark.parametrize(
    "pasted",
    ["", " ", "\0", "\ud800", "x" * 300, "x" * 5000, "trip:abc", "trip:0", f"trip:{2**63}"],
)
def test_what_can_be_nothing_says_why(pasted: str) -> None:
    sought = pure.read(pasted)
    assert sought.readings == ()
    assert sought.why_none
    assert len(sought.text) <= 80


def test_a_number_that_no_column_holds_is_sought_as_text_only() -> None:
    kinds = {kind for kind, _ in read_as("9" * 25)}
    assert kinds and not kinds & set(pure.NUMBERS)


PREFIXED = st.builds(
    "{}{}".format, st.sampled_from(["trip:", "key=", "amount: ", "pay "]), st.text()
)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=60) | PREFIXED)
def test_every_text_is_read(pasted: str) -> None:
    """Into readings that a statement takes, or into a sentence; and the same again."""
    sought = pure.read(pasted)
    assert (sought.why_none is None) == bool(sought.readings)
    assert pure.read(pasted) == sought
    for one in sought.readings:
        if isinstance(one.value, int):
            assert 0 < one.value < 2**63
        elif isinstance(one.value, str):
            assert "\0" not in one.value and one.value.encode()
            assert len(one.value) <= pure.LONGEST


# -- what is found


@pytest.mark.parametrize("name", ["payment_id", "order_id", "rider_id", "driver_id", "user_id"])
def test_a_number_finds_its_payment(
    app: Flask, now: Current, paid: dict[str, Any], name: str
) -> None:
    kind = Kind(name.removesuffix("_id"))
    found = find(app, now, f"{kind}:{paid[name]}")
    assert [hit.payment_id for hit in found.hits[kind]] == [paid["payment_id"]]
    assert found.one is not None and found.one.status == "SUCCESS"
    bare = find(app, now, f" #{paid[name]} ")
    assert paid["payment_id"] in [hit.payment_id for hit in bare.hits[kind]]


def test_texts_find_their_payment(app: Flask, now: Current, paid: dict[str, Any]) -> None:
    page = ("payment", paid["payment_id"])
    reference, theirs = paid["reference"], paid["caller_reference"]
    for pasted in (
        reference,
        reference.lower(),
        f"{reference}-1",
        f"RCP-{reference}",
        theirs,
        f"“{theirs}”",
        paid["transaction_id"],
        f"/v1/payments/order/{paid['order_id']}",
        f"https://pay.example/admin/payments/{paid['payment_id']}",
    ):
        assert opened(app, now, pasted) == page, pasted


def test_a_trip_has_its_live_and_its_dead_payments(app: Flask, now: Current) -> None:
    trip = a_number()
    adding = (
        "INSERT INTO payments (trip_id, amount, currency, method, status, reference, caller,"
        " created_at, updated_at) VALUES (:trip, 100, 'INR', 'CARD', :status, :reference, 't',"
        " now(), now())"
    )
    for status in ("FAILED", "FAILED", "PENDING"):
        execute(app, adding, trip=trip, status=status, reference=a_key())
    hits = find(app, now, f"trip:{trip}").hits[Kind.TRIP]
    assert sorted(str(hit.status) for hit in hits) == ["FAILED", "FAILED", "PENDING"]


def test_keys_refunds_and_requests(app: Flask, now: Current, paid: dict[str, Any]) -> None:
    client, key, payment = app.test_client(), a_key(), paid["payment_id"]
    answer = post(client, f"/v1/payments/{payment}/refund", key=key, amount="10.00")
    refund = answer.json["refund_id"]
    [hit] = find(app, now, key).hits[Kind.KEY]
    assert (hit.key, hit.payment_id) == (key, payment)
    assert str(hit.operation).startswith("POST ")
    [hit] = find(app, now, f"refund:{refund}").hits[Kind.REFUND]
    assert (hit.refund_id, hit.payment_id, hit.amount) == (refund, payment, 1000)
    theirs = row(app, "SELECT * FROM refunds WHERE refund_id = :id", id=refund)
    assert opened(app, now, theirs["provider_reference"]) == ("payment", payment)
    request = row(
        app, "SELECT * FROM transactions WHERE payment_id = :id AND number = 2", id=payment
    )["request_id"]
    found = find(app, now, f"request:{request}")
    assert found.one is not None and found.one.payment_id == payment
    assert found.how_far == (finding.HOW_FAR[Kind.REQUEST],)


def test_a_key_without_a_payment_opens_the_keys_page(app: Flask, now: Current) -> None:
    key = a_key()
    adding = (
        "INSERT INTO idempotency_keys (caller, operation, key, fingerprint, created_at,"
        " expires_at) VALUES ('t', 'POST /x', :key, '{}', now(), now())"
    )
    execute(app, adding, key=key)
    assert opened(app, now, key.upper()) == ("key", key)


def test_an_amount_is_found_for_seven_days(app: Flask, now: Current) -> None:
    minor = 5_000_000 + a_number() % 4_000_000
    amount = f"{minor // 100}.{minor % 100:02}"
    payment = a_charged_payment(app.test_client(), amount=amount)["payment_id"]
    assert opened(app, now, f"₹{amount}") == ("payment", payment)
    assert find(app, now, f"{amount} USD").one is None
    older = "UPDATE payments SET created_at = now() - interval '8 days' WHERE payment_id = :id"
    execute(app, older, id=payment)
    assert find(app, now, f"INR {amount}").hits == {}


def test_six_of_a_kind_and_that_there_may_be_more(app: Flask, now: Current) -> None:
    rider = a_number()
    for _ in range(7):
        a_charged_payment(app.test_client(), rider_id=rider)
    found = find(app, now, f"rider:{rider}")
    ids = [hit.payment_id or 0 for hit in found.hits[Kind.RIDER]]
    assert len(ids) == finding_queries.AT_MOST and ids == sorted(ids, reverse=True)
    assert found.more == {Kind.RIDER} and found.one is None


def test_none_tells_what_was_tried_and_what_is_near(
    app: Flask, now: Current, paid: dict[str, Any]
) -> None:
    found = find(app, now, "payment:9223372036854775807")
    assert (found.hits, found.tried, found.beyond_newest) == ({}, (Kind.PAYMENT,), True)
    assert len(found.nearest) == 1
    typo = paid["reference"][:-1] + ("0" if paid["reference"][-1] != "0" else "1")
    near = find(app, now, typo)
    assert [hit.payment_id for hit in near.nearest] == [paid["payment_id"]]
    assert find(app, now, "PAY-20010101-000000000000").nearest == ()


@pytest.mark.parametrize("pasted", ["\0", "x" * 5000, "٣" * 30, "'; DROP TABLE", "%s %(v0)s :v0"])
def test_whatever_is_pasted_is_answered(app: Flask, now: Current, pasted: str) -> None:
    found = find(app, now, pasted)
    assert found.hits == {} and (found.tried or found.why_none)


def test_half_a_log_in_finds_nothing(app: Flask, now: Current) -> None:
    with pytest.raises(OutOfReach):
        find(app, replace(now, reach=Reach.CODE), "4711")


# -- by an index each


@pytest.fixture(scope="module")
def filled(make_app: MakeApp, database_of_module: str) -> Iterator[Flask]:
    """A database in which a scan costs more than an index, an hour between two payments."""
    own = make_app(**KEYS, database_url=database_of_module)
    numbers = "FROM generate_series(1, 20000) AS n"
    for statement in (
        "INSERT INTO payments (trip_id, order_id, rider_id, driver_id, user_id, caller_reference,"
        " amount, currency, method, status, reference, caller, created_at, updated_at)"
        " SELECT n, n, n % 5000, n % 5000, n % 5000, 'c' || n, 100 + n % 900, 'INR', 'CARD',"
        " CASE WHEN n % 9 = 0 THEN 'FAILED' ELSE 'PENDING' END, 'plan-' || n, 't',"
        f" now() - make_interval(hours => n), now() {numbers}",
        "INSERT INTO transactions (payment_id, number, type, status, amount, currency, provider,"
        " reference, provider_reference, request_id, created_at, send_before)"
        " SELECT payment_id, 1, 'CHARGE', 'SUCCESS', 1, 'INR', 'p', reference, 'p' || payment_id,"
        " 'r' || payment_id, now(), now() FROM payments WHERE reference LIKE 'plan-%'",
        "INSERT INTO refunds (payment_id, amount, currency, status, caller, provider_reference,"
        " created_at, updated_at) SELECT payment_id, 1, 'INR', 'SUCCESS', 't', 'f' || payment_id,"
        " now(), now() FROM payments WHERE reference LIKE 'plan-%'",
        "INSERT INTO idempotency_keys (caller, operation, key, fingerprint, created_at, expires_at)"
        f" SELECT 't', 'POST /x', 'k' || n, '{{}}', now(), now() {numbers}",
        "ANALYZE payments, transactions, refunds, idempotency_keys",
    ):
        execute(own, statement)
    yield own


VALUES: dict[Kind, Any] = {
    **dict.fromkeys(pure.NUMBERS, 4711),
    **dict.fromkeys((Kind.REFERENCE, Kind.CALLER_REFERENCE, Kind.KEY, Kind.REQUEST), "k4711"),
    Kind.PROVIDER_REFERENCE: "p4711",
    Kind.AMOUNT: (("INR", 10486), ("KWD", 104860)),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(Kind))
def test_no_look_up_scans_a_table_that_grows(filled: Flask, kind: Kind) -> None:
    with filled.app_context():
        plan = finding_queries.plan([Reading(kind, VALUES[kind])])
    scans = [line for line in plan if "Seq Scan on" in line]
    grown = ("payments", "transactions", "refunds", "events", "idempotency_keys")
    assert not [line for line in scans if line.split("Seq Scan on ")[1].split()[0] in grown], plan
    assert any("Index" in line for line in plan), plan


@pytest.mark.slow
def test_all_readings_of_a_number_are_one_statement_of_index_look_ups(filled: Flask) -> None:
    with filled.app_context():
        plan = finding_queries.plan(pure.read("4711").readings)
    assert not [line for line in plan if "Seq Scan on" in line], plan
