"""Bad bodies: refused with a problem document that says what is wrong, and no row is left."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.fixtures import a_key, a_number, an_order
from tests.refusals import OPERATIONS, WITHOUT_BODY, Refused, operations

BIGINT = 2**63 - 1
every_operation = pytest.mark.parametrize("operation", OPERATIONS)


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name not in WITHOUT_BODY])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", None])
def test_an_empty_body(refused: Refused, operation: str, content_type: str | None) -> None:
    refused(400, "invalid_json", operation, raw=b"", content_type=content_type)


@every_operation
@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"{'amount': 1}",
        b'{"amount": 1,}',
        b'{"amount": 01}',
        b'{"amount": 1} {}',
        b'{"amount": .5}',
        b"\xff\xfe{}",
        b'\xef\xbb\xbf{"amount": 1}',
        b'{"description": "\xe9"}',
        b'{"description": "\x01"}',
        b"null",
        b"true",
        b"12",
        b'"text"',
        b"[]",
        b"[{}]",
    ],
)
def test_what_is_no_json_object(refused: Refused, operation: str, raw: bytes) -> None:
    refused(400, "invalid_json", operation, raw=raw)


@every_operation
@pytest.mark.parametrize(
    "raw",
    [
        '{"amount": "1.00", "amount": "100.00"}',
        '{"metadata": {"a": "1", "a": "2"}}',
        '{"status": "SUCCESS", "\\u0073tatus": "FAILED"}',
        '{"x": [{"y": {"z": 1, "z": 1}}]}',
    ],
)
def test_a_member_that_stands_twice(refused: Refused, operation: str, raw: str) -> None:
    refused(400, "invalid_json", operation, raw=raw)


@every_operation
@pytest.mark.parametrize("depth", [17, 1000, 10_000])
def test_deep_nesting(refused: Refused, operation: str, depth: int) -> None:
    refused(400, "invalid_json", operation, raw='{"metadata": ' + "[" * depth + "]" * depth + "}")
    deep = '{"a":' * depth + "1" + "}" * depth
    if len(deep) < 65_000:
        refused(400, "invalid_json", operation, raw=deep)


def test_brackets_in_a_text_are_no_nesting(client: FlaskClient) -> None:
    body = an_order(description='[[[[[[[[[[[[[[[[[[[[[[[[ \\" {{{{ "')
    taken = client.post("/v1/payments", json=body)
    assert taken.status_code == 201
    assert taken.json["description"] == body["description"]


@every_operation
def test_a_body_over_64_kib(refused: Refused, operation: str) -> None:
    refused(413, "body_too_large", operation, raw='{"reason": "' + "x" * 64 * 1024 + '"}')


def test_a_body_of_exactly_64_kib_is_read(client: FlaskClient) -> None:
    body = json.dumps(an_order())
    padded = body + " " * (64 * 1024 - len(body))
    for size, status in ((64 * 1024, 201), (64 * 1024 + 1, 413)):
        sent = {"data": padded.ljust(size), "content_type": "application/json"}
        assert client.post("/v1/payments", **sent).status_code == status


@every_operation
@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/xml", "application/x-www-form-urlencoded", "text/json", None],
)
def test_another_content_type(refused: Refused, operation: str, content_type: str | None) -> None:
    refused(415, "unsupported_media_type", operation, raw="{}", content_type=content_type)


def test_json_with_parameters_is_json(client: FlaskClient) -> None:
    taken = client.post(
        "/v1/payments", data=json.dumps(an_order()), content_type="application/json; charset=utf-8"
    )
    assert taken.status_code == 201


@every_operation
@pytest.mark.parametrize("name", ["colour", "Amount", "card_number", "", "a.b", "\ud800", "\x00"])
def test_an_unknown_field(refused: Refused, operation: str, name: str) -> None:
    body = operations()[operation][2] | {name: 1}
    problem = refused(422, "invalid_request", operation, body)
    assert problem["errors"] == {name: ["Unknown field."]}


FIELDS = [
    *[("charge", name) for name in (
        "idempotency_key", "trip_id", "order_id", "rider_id", "driver_id", "user_id", "amount",
        "amount_minor", "currency", "method", "payment_method", "provider", "payment_token",
        "reference", "description", "metadata", "capture",
    )],
    ("capture", "amount"),
    ("cancel", "reason"),
    ("set_status", "status"),
    ("set_status", "reason"),
    ("refund", "amount"),
    ("refund", "amount_minor"),
    ("refund", "reason"),
    ("refunds", "payment_id"),
    ("refund_status", "status"),
    ("charge_pending", "capture"),
    ("charge_pending", "payment_token"),
]  # fmt: skip
WRONG: list[Any] = [None, [], {}, [1], {"a": {}}, False, 1.5]
FITTING: dict[str, Any] = {"metadata": {}, "capture": False, "amount": 1.5}
WRONG_FIELDS = [
    (operation, field, value)
    for operation, field in FIELDS
    for value in WRONG
    if not (field in FITTING and value == FITTING[field] and value is not None)
]


@pytest.mark.parametrize(("operation", "field", "value"), WRONG_FIELDS)
def test_null_and_wrong_types(refused: Refused, operation: str, field: str, value: Any) -> None:
    body = operations()[operation][2] | {field: value}
    problem = refused(422, "invalid_request", operation, body, key=None)
    assert field in problem["errors"]


TEXTS = ("idempotency_key", "currency", "method", "provider", "payment_token", "reference")


@pytest.mark.parametrize("field", [*TEXTS, "description", "metadata"])
@pytest.mark.parametrize("value", [1, True])
def test_a_number_or_boolean_for_text(refused: Refused, field: str, value: Any) -> None:
    problem = refused(422, "invalid_request", "charge", an_order(**{field: value}), key=None)
    assert field in problem["errors"]


@pytest.mark.parametrize("value", ["true", "false", 0, 1, "1", ""])
def test_what_is_no_boolean(refused: Refused, value: Any) -> None:
    problem = refused(422, "invalid_request", "charge", an_order(capture=value))
    assert problem["errors"] == {"capture": ["must be true or false"]}


IDS = ("trip_id", "order_id", "rider_id", "driver_id", "user_id")


@pytest.mark.parametrize("field", [*IDS, "payment_id"])
@pytest.mark.parametrize(
    "value", ["1", "", True, 1.0, 1.5, "7e2", 0, -1, BIGINT + 1, -BIGINT, 10**30, int("9" * 4000)]
)
def test_what_is_no_id(refused: Refused, field: str, value: Any) -> None:
    operation = "refunds" if field == "payment_id" else "charge"
    body = operations()[operation][2] | {field: value}
    assert field in refused(422, "invalid_request", operation, body)["errors"]


@pytest.mark.parametrize("raw", ["1e2", "9" * 5000, "NaN", "Infinity", "-0", "1" + "0" * 30 + ".0"])
def test_numbers_that_json_has_and_ids_have_not(refused: Refused, raw: str) -> None:
    body = f'{{"order_id": {raw}, "amount": "1.00"}}'
    assert "order_id" in refused(422, "invalid_request", "charge", raw=body)["errors"]


def test_the_largest_id_is_one(client: FlaskClient) -> None:
    taken = client.post("/v1/payments", json={"amount": "1.00", "rider_id": BIGINT})
    assert (taken.status_code, taken.json["rider_id"]) == (201, BIGINT)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("method", ["BITCOIN", "", "CARD ", "C\u0410RD", "CARDS", "\u017fWISH"]),
        ("payment_method", ["BITCOIN", ""]),
        (
            "currency",
            ["XXX", "XTS", "XAU", "XDR", "CHE", "CLF", "ABC", "IN", "INRR", "", "\u0131nr"],
        ),
    ],
)
def test_words_that_nobody_knows(refused: Refused, field: str, values: list[str]) -> None:
    for value in values:
        body = {"order_id": a_number(), "amount": "1.00", field: value}
        assert field in refused(422, "invalid_request", "charge", body)["errors"]


@pytest.mark.parametrize("operation", ["set_status", "refund_status"])
@pytest.mark.parametrize("status", ["PAID", "", "success ", "SUCCESS\x00", 1])
def test_a_status_that_nobody_knows(refused: Refused, operation: str, status: Any) -> None:
    problem = refused(422, "invalid_request", operation, {"status": status}, key=None)
    assert "status" in problem["errors"]


BAD_AMOUNTS = [
    *["0", "0.00", "-1", "+1", "1e2", "1E2", "NaN", "Infinity", "inf", " 1", "1 ", "1\n", "", " "],
    *["1.", ".5", "1,00", "1_0", "0x10", "1.2.3", "\uff11", "\u0661", "\u00bd", "1\x00", "\ud800"],
    *["1.234", "1.230", "100000.01", "1" * 30, "9" * 5000, "0." + "0" * 5000 + "1"],
]
BAD_NUMBERS = ["0", "0.00", "-1", "-0.01", "1e2", "1E+2", "1e-1", "1.5e0", "1e999999999", "NaN"]
BAD_NUMBERS += ["Infinity", "-Infinity", "1.234", "100000.01", "1" + "0" * 30, "9" * 5000]
BAD_NUMBERS += ["0." + "0" * 5000 + "1", "0.0000001", "true"]


@pytest.mark.parametrize("operation", ["charge", "create"])
@pytest.mark.parametrize("amount", BAD_AMOUNTS, ids=lambda text: ascii(text)[:20])
def test_texts_that_are_no_amount(refused: Refused, operation: str, amount: str) -> None:
    problem = refused(422, "invalid_request", operation, an_order(amount=amount))
    assert list(problem["errors"]) == ["amount"]


@pytest.mark.parametrize("operation", ["charge", "create"])
@pytest.mark.parametrize("number", BAD_NUMBERS, ids=lambda text: text[:20])
def test_numbers_that_are_no_amount(refused: Refused, operation: str, number: str) -> None:
    raw = f'{{"order_id": {a_number()}, "amount": {number}}}'
    problem = refused(422, "invalid_request", operation, raw=raw)
    assert list(problem["errors"]) == ["amount"]


@pytest.mark.parametrize("operation", ["capture", "refund", "refunds"])
@pytest.mark.parametrize("amount", ["", "-1", "1e2", "\uff11", None, True, []])
def test_an_amount_is_checked_before_its_payment(
    refused: Refused, operation: str, amount: Any
) -> None:
    body = operations()[operation][2] | {"amount": amount}
    assert "amount" in refused(422, "invalid_request", operation, body)["errors"]


@pytest.mark.parametrize(
    ("amount", "currency"),
    [("1.5", "JPY"), ("1.0", "JPY"), ("1.2345", "KWD"), ("1.234", "INR"), ("100000.001", "KWD")],
)
def test_decimals_that_the_currency_has_not(refused: Refused, amount: str, currency: str) -> None:
    body = an_order(amount=amount, currency=currency)
    assert "amount" in refused(422, "invalid_request", "charge", body)["errors"]


@pytest.mark.parametrize(
    "minor", [0, -1, True, "100", 1.5, 10_000_001, BIGINT, BIGINT + 1, 10**30, int("9" * 4000)]
)
def test_minor_units_that_are_none(refused: Refused, minor: Any) -> None:
    body = {"order_id": a_number(), "amount_minor": minor}
    assert "amount_minor" in refused(422, "invalid_request", "charge", body)["errors"]


@pytest.mark.parametrize("operation", ["charge", "create"])
def test_amount_and_amount_minor_together(refused: Refused, operation: str) -> None:
    body = an_order(amount="1.00", amount_minor=100)
    assert "amount_minor" in refused(422, "invalid_request", operation, body)["errors"]


@pytest.mark.parametrize("operation", ["charge", "create"])
def test_no_amount_at_all(refused: Refused, operation: str) -> None:
    problem = refused(422, "invalid_request", operation, {"order_id": a_number()})
    assert "amount" in problem["errors"]


@pytest.mark.parametrize(
    ("number", "currency", "text"),
    [
        ("104.86", "INR", "104.86"),
        ("0.1", "INR", "0.10"),
        ("0.29", "INR", "0.29"),
        ("1.1", "INR", "1.10"),
        ("4.35", "INR", "4.35"),
        ("99999.99", "INR", "99999.99"),
        ("100000", "INR", "100000.00"),
        ("1.001", "KWD", "1.001"),
        ("7", "JPY", "7"),
    ],
)
def test_a_json_number_is_read_exactly(
    client: FlaskClient, number: str, currency: str, text: str
) -> None:
    raw = f'{{"amount": {number}, "currency": "{currency}"}}'
    taken = client.post("/v1/payments", data=raw, content_type="application/json")
    assert (taken.status_code, taken.json["amount"]) == (201, text)
    as_text = client.post("/v1/payments", json={"amount": number, "currency": currency})
    assert as_text.json["amount"] == text


def test_neither_trip_nor_order(refused: Refused) -> None:
    refused(422, "invalid_request", "charge", {"amount": "1.00"})


def test_two_names_for_two_methods(refused: Refused) -> None:
    body = an_order(method="CARD", payment_method="UPI")
    assert "payment_method" in refused(422, "invalid_request", "charge", body)["errors"]


def test_a_provider_that_is_not_there(refused: Refused) -> None:
    for provider in ("nobody", "x" * 51, "", "a\x00", "\ud800", "../cash"):
        problem = refused(422, "invalid_request", "charge", an_order(provider=provider))
        assert "provider" in problem["errors"]


FREE_TEXT = ("payment_token", "reference", "description")


@pytest.mark.parametrize("field", FREE_TEXT)
@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\ud800", "x\udfff", "\udc00\ud800"])
def test_text_that_cannot_be_kept(refused: Refused, field: str, text: str) -> None:
    assert field in refused(422, "invalid_request", "charge", an_order(**{field: text}))["errors"]


@pytest.mark.parametrize("operation", ["cancel", "set_status", "refund", "refund_status"])
@pytest.mark.parametrize("text", ["\x00", "\ud800", "x" * 501])
def test_a_reason_that_cannot_be_kept(refused: Refused, operation: str, text: str) -> None:
    body = operations()[operation][2] | {"reason": text}
    assert "reason" in refused(422, "invalid_request", operation, body)["errors"]


@pytest.mark.parametrize(
    ("field", "longest"), [("payment_token", 255), ("reference", 100), ("description", 500)]
)
def test_text_that_is_too_long(
    refused: Refused, client: FlaskClient, field: str, longest: int
) -> None:
    body = an_order(**{field: "\U0001f695" * (longest + 1)})
    assert field in refused(422, "invalid_request", "create", body)["errors"]
    taken = client.post("/v1/payments", json=an_order(**{field: "\U0001f695" * longest}))
    assert taken.status_code == 201


BAD_METADATA: list[Any] = [
    {"a": {"b": "c"}},
    {"a": ["b"]},
    {"a": 1},
    {"a": True},
    {"a": None},
    {"": "x"},
    {"k" * 41: "x"},
    {"a": "x" * 501},
    {f"k{number}": "x" for number in range(51)},
    {"a": "\x00"},
    {"\x00": "a"},
    {"a": "\ud800"},
    {"\ud800": "a"},
    "text",
    [],
    [["a", "b"]],
    1,
]


@pytest.mark.parametrize("metadata", BAD_METADATA, ids=lambda value: ascii(value)[:20])
def test_metadata_that_is_not_flat_text(refused: Refused, metadata: Any) -> None:
    body = an_order(metadata=metadata)
    assert "metadata" in refused(422, "invalid_request", "charge", body)["errors"]


def test_metadata_at_its_limits_is_taken(client: FlaskClient) -> None:
    metadata = {f"{number:040d}": "x" * 500 for number in range(50)}
    taken = client.post("/v1/payments", json=an_order(metadata=metadata))
    assert (taken.status_code, taken.json["metadata"]) == (201, metadata)


BAD_KEYS = ["k" * 256, "", " ", "a b", "a\tb", "caf\u00e9", "\x7f", "k\u00a0"]
KEYED = ("charge", "create", "charge_pending", "capture", "refund", "refunds")


@pytest.mark.parametrize("operation", KEYED)
@pytest.mark.parametrize("key", [*BAD_KEYS, "\x00", "\n", "\u4e2d", "\ud800"], ids=ascii)
def test_a_key_in_the_body_that_is_none(refused: Refused, operation: str, key: str) -> None:
    body = operations()[operation][2] | {"idempotency_key": key}
    refused(400, "idempotency_key_invalid", operation, body, key=None)


@pytest.mark.parametrize("operation", KEYED)
@pytest.mark.parametrize("key", BAD_KEYS, ids=ascii)
def test_a_key_in_the_header_that_is_none(refused: Refused, operation: str, key: str) -> None:
    body = operations()[operation][2]
    headers = {"Idempotency-Key": key}
    refused(400, "idempotency_key_invalid", operation, body, key=None, headers=headers)


@pytest.mark.parametrize("operation", KEYED)
def test_header_and_body_with_different_keys(refused: Refused, operation: str) -> None:
    body = operations()[operation][2] | {"idempotency_key": a_key()}
    refused(400, "idempotency_key_conflict", operation, body)


@pytest.mark.parametrize("operation", [name for name in KEYED if name != "create"])
def test_no_key_where_one_is_needed(refused: Refused, operation: str) -> None:
    body = operations()[operation][2]
    refused(400, "idempotency_key_required", operation, body, key=None)


def test_a_key_of_255_characters_is_one(client: FlaskClient) -> None:
    key = "".join(chr(code) for code in range(33, 127)) + "k" * 161
    first = client.post("/v1/payments", json=an_order(), headers={"Idempotency-Key": key})
    assert (len(key), first.status_code) == (255, 201)


@pytest.mark.parametrize("number", ["4111111111111111", "5555 5555 5555 4444", "3782-822463-10005"])
def test_card_numbers_in_free_text(refused: Refused, number: str) -> None:
    for changes in (
        {"description": f"paid with {number} 12/28"},
        {"reference": number},
        {"payment_token": number},
        {"metadata": {"note": f"card={number}"}},
    ):
        for operation in ("charge", "create"):
            body = an_order(**changes)
            problem = refused(422, "card_data_refused", operation, body)
            assert list(problem["errors"]) == list(changes)
            assert number not in json.dumps(problem)
    for operation in ("cancel", "set_status", "refund", "refunds", "refund_status"):
        body = operations()[operation][2] | {"reason": number}
        refused(422, "card_data_refused", operation, body)


def test_integers_and_keys_are_not_searched_for_card_numbers(client: FlaskClient) -> None:
    number = 4111111111111111
    body = {"amount": "1.00", "rider_id": number, "metadata": {str(number): "x"}}
    key = f"{number}-{a_key()}"
    taken = client.post("/v1/payments", json=body, headers={"Idempotency-Key": key})
    assert (taken.status_code, taken.json["rider_id"]) == (201, number)


def test_a_refused_request_leaves_its_key_free(
    client: FlaskClient, row_counts: Callable[[], dict[str, int]]
) -> None:
    headers = {"Idempotency-Key": a_key()}
    body = an_order()
    assert client.post(
        "/v1/payments/charge", json=body | {"amount": "1.234"}, headers=headers
    ).status_code == 422  # fmt: skip
    assert client.post("/v1/payments/charge", json=body, headers=headers).status_code == 201
