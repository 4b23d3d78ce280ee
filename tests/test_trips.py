"""What a trip service may say: it is read exactly, or the answer names the field; nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from payment_service.domain import money
from payment_service.domain.fares import computed_total
from tests.fixtures import MakeApp, a_key, a_number
from tests.listening import listening
from tests.patience import UNHURRIED

FIELDS = (
    *("trip_id", "rider_id", "driver_id", "status", "currency", "pickup_zone", "drop_zone"),
    *("distance_km", "base_fare", "surge_multiplier", "total_fare"),
)


class TripService(ThreadingHTTPServer):
    """Answers every trip with `body`."""

    body = b""


class _Answers(BaseHTTPRequestHandler):
    server: TripService
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def service() -> Iterator[TripService]:
    server = TripService(("127.0.0.1", 0), _Answers)
    server.daemon_threads = True
    with listening(server):
        yield server


@pytest.fixture(scope="module")
def rider(make_app: MakeApp, service: TripService) -> FlaskClient:
    """A client of an app that asks that trip service, and can compute a fare."""
    return make_app(
        **UNHURRIED,
        trip_service_url=f"http://127.0.0.1:{service.server_port}",
        base_fare=Decimal("50.00"),
        rate_per_km=Decimal("12.00"),
    ).test_client()


def a_body(**changes: str) -> tuple[int, bytes]:
    """A trip's number, and what is said of it; `changes` are JSON texts."""
    trip_id = a_number()
    said = {"trip_id": str(trip_id), "status": '"COMPLETED"', "total_fare": "10.00"} | changes
    return trip_id, b"{" + ",".join(f'"{k}": {v}' for k, v in said.items()).encode() + b"}"


def charge(rider: FlaskClient, service: TripService, trip_id: int, body: bytes) -> Any:
    service.body = body
    return rider.post(
        "/v1/payments/charge",
        json={"trip_id": trip_id, "method": "CARD"},
        headers={"Idempotency-Key": a_key()},
    )


@pytest.mark.parametrize(
    ("fare", "amount"),
    [
        ("10", "10.00"),
        ("10.0000", "10.00"),
        ('"10.0000"', "10.00"),
        ("1E+1", "10.00"),
        ("1.05e1", "10.50"),
        ('"85.80"', "85.80"),
        ("99999.99", "99999.99"),
    ],
)
def test_a_fare_is_read_exactly(
    rider: FlaskClient, service: TripService, fare: str, amount: str
) -> None:
    answer = charge(rider, service, *a_body(total_fare=fare))
    assert (answer.status_code, answer.json["amount"]) == (201, amount)


@pytest.mark.parametrize("fare", ["1e17", "1e29", "100000.01", str(2**63), "1" + "0" * 29])
def test_a_fare_of_any_size_is_too_high(
    rider: FlaskClient, service: TripService, fare: str
) -> None:
    answer = charge(rider, service, *a_body(total_fare=fare))
    assert (answer.status_code, answer.json["code"]) == (422, "fare_too_high")
    parts = {"total_fare": "null", "distance_km": "9" * 12, "surge_multiplier": "9" * 12}
    answer = charge(rider, service, *a_body(**parts))
    assert (answer.status_code, answer.json["code"]) == (422, "fare_too_high")


LIES = {
    "trip_id": ("1", "true", '"1"', "1.5", "9" * 30, "[]"),
    "rider_id": ("0", "-1", "true", '"101"', "101.0", str(2**63), "9" * 5000, "{}", "NaN"),
    "driver_id": ("0", "1e3", str(2**63), "[1]", "Infinity"),
    "status": ("null", '""', "true", "1", '["COMPLETED"]', '"\\ud800"', f'"{"x" * 101}"'),
    "currency": ('"XXX"', '"rupees"', "1", '"\\udfff"', '"₹"', "true", "[]"),
    "pickup_zone": ("7", '"\\u0000"', '"a\\nb"', '"\\ud800"', f'"{"x" * 101}"', "{}"),
    "drop_zone": ("true", '"\\u001b"', '"\\u2028"', '"\\udc00\\ud800"', '["a"]'),
    "distance_km": ("1e30", "9" * 30, "-1", "true", "NaN", '"5,4"', '"1_0"', '"٣"', '"0x1"', "[]"),
    "base_fare": ("1e-30", "-0.01", "Infinity", "1e999999999999999999999", '" 5"', '"+5"'),
    "surge_multiplier": ("1e30", "-1", '"nan"', '"inf"', "1." + "0" * 40, "{}", "false"),
    "total_fare": ("10.005", "1e30", "1e400", "1e-3", "-0.0", "true", "NaN", '"ten"', "9" * 5000),
}


@pytest.mark.parametrize(("field", "text"), [(f, t) for f, texts in LIES.items() for t in texts])
def test_what_can_not_be_read_is_named(
    rider: FlaskClient, service: TripService, field: str, text: str
) -> None:
    answer = charge(rider, service, *a_body(**{field: text}))
    assert (answer.status_code, answer.json["code"]) == (503, "trip_service_unavailable"), text
    assert f"can't be read: {field} " in answer.json["detail"]
    assert len(answer.json["detail"]) < 400


def test_every_field_is_lied_about() -> None:
    assert LIES.keys() == set(FIELDS)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"null", b"{", b'{"status": "COMPLETED", "status": "COMPLETED"}', b"\xff"),
        *(b"[" * 100_000, b'{"a":' * 100_000, b'"COMPLETED"'),
    ],
)
def test_what_is_no_trip_is_a_503(rider: FlaskClient, service: TripService, body: bytes) -> None:
    answer = charge(rider, service, a_number(), body)
    assert (answer.status_code, answer.json["code"]) == (503, "trip_service_unavailable")


def test_parts_that_are_missing_are_named(rider: FlaskClient, service: TripService) -> None:
    answer = charge(rider, service, *a_body(total_fare="null", distance_km="5"))
    assert answer.status_code == 422
    assert "surge_multiplier" in answer.text


NUMBERS = st.one_of(
    st.integers().map(str),
    st.decimals().map(str).map(lambda text: text.replace("sNaN", "NaN")),
    st.tuples(st.integers(0, 10**12), st.integers(0, 10**6)).map("{0[0]}.{0[1]}".format),
)
STRINGS = st.text(st.characters(codec=None), max_size=110).map(json.dumps)
ANYTHING = st.one_of(
    NUMBERS,
    NUMBERS.map(json.dumps),
    STRINGS,
    st.sampled_from(["null", "true", "[]", "{}", "NaN", "-Infinity", '""', "[[1]]"]),
)


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(FIELDS[1:]), ANYTHING))
@settings(max_examples=60, deadline=None)
def test_any_answer_is_charged_and_printed_or_refused(
    rider: FlaskClient, service: TripService, changes: dict[str, str]
) -> None:
    answer = charge(rider, service, *a_body(**changes))
    assert answer.status_code in (201, 409, 422, 503), answer.text
    if answer.status_code == 201:
        printed(rider, answer.json["payment_id"])


def printed(rider: FlaskClient, payment_id: int) -> None:
    for form in ("json", "html", "pdf"):
        receipt = rider.get(f"/v1/payments/{payment_id}/receipt?format={form}")
        assert receipt.status_code == 200, receipt.text


LINES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=100)
FIGURES = st.decimals(0, 10**12 - 1, allow_nan=False, places=12).map("{:f}".format)


@given(LINES, LINES, FIGURES, FIGURES, FIGURES)
@settings(max_examples=25, deadline=None)
def test_whatever_is_taken_is_printed(
    rider: FlaskClient, service: TripService, pickup: str, drop: str, km: str, base: str, surge: str
) -> None:
    zones = {"pickup_zone": json.dumps(pickup), "drop_zone": json.dumps(drop)}
    parts = {"distance_km": km, "base_fare": base, "surge_multiplier": surge}
    answer = charge(rider, service, *a_body(**zones, **parts))
    assert answer.status_code == 201, answer.text
    printed(rider, answer.json["payment_id"])


PARTS = st.decimals(0, 10**12 - 1, allow_nan=False, places=12)


@given(PARTS, PARTS, PARTS, PARTS, st.sampled_from(["INR", "JPY", "KWD"]))
@settings(max_examples=200, deadline=None)
def test_a_fare_of_absurd_parts_is_exact(
    base: Decimal, rate: Decimal, distance: Decimal, surge: Decimal, currency: str
) -> None:
    found = computed_total(
        base_fare=base, rate_per_km=rate, distance_km=distance, surge=surge, currency=currency
    )
    # In integers: each part has 12 decimals.
    base_, rate_, distance_, surge_ = (
        int(part.scaleb(12)) for part in (base, rate, distance, surge)
    )
    exact = (base_ * 10**12 + rate_ * distance_) * surge_ * 10 ** money.EXPONENTS[currency]
    whole, rest = divmod(exact, 10**36)
    assert found == whole + (rest * 2 >= 10**36)
