"""Records what a checkout answers to a fixed list of requests, so that two can be compared.

python -m tests.recording TREE FILE     starts `make run` of TREE, and writes FILE

Every door is gone through, with what it refuses; at the end come what the sister services were
told and what stands in the provider's books. Ids, references and times are named by the order in
which they come, all else is there byte by byte: after two runs, `diff` says what changed.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import requests

from tests.patience import PATIENCE
from tests.recording.answers import Recording
from tests.whole_service import Addresses, whole_service

# Of the seeds' trips.
TRIP = 32  # completed, INR 104.86, and nobody has charged it
OTHER_TRIP = 18  # the same, but for the fare
NOT_COMPLETED = 1


def record(at: Addresses) -> str:
    """All answers, in order."""
    recording = Recording(at)
    made = [step(recording) for step in (_watch, _trip, _order, _hold, _cash, _refusals)]
    _lists(recording)
    for payment_id in (one for ids in made for one in ids):
        _wait_for_deliveries(recording, payment_id)
        recording.ask("GET", f"/v1/payments/{payment_id}/events")
    _outside(recording)
    return "\n".join(recording.parts)


def _watch(to: Recording) -> list[int]:
    for path in ("/health", "/health/ready", "/ready", "/metrics"):
        to.ask("GET", path)
    for path in ("", "/IN", "/in", "/XX", "/INDIA", "?currency=inr&method=upi", "?colour=red"):
        to.ask("GET", f"/v1/payments/providers{path}")
    return []


def _trip(to: Recording) -> list[int]:
    """A trip that is charged, replayed, refunded in two ways, and its receipt in between."""
    charge = {"trip_id": TRIP, "method": "CARD", "metadata": {"a": "b"}, "description": "A ride"}
    paid = to.ask("POST", "/v1/payments/charge", charge, "trip")["payment_id"]
    to.ask("POST", "/v1/payments/charge", charge, "trip")
    to.ask("POST", "/api/v1/payments/charge", {**charge, "idempotency_key": "trip"})
    to.ask("POST", "/v1/payments/charge", {**charge, "method": "UPI"}, "trip")
    to.ask("POST", "/v1/payments/charge", charge, "trip again")
    to.ask("POST", "/v1/payments/charge", charge, "trip-again")
    one = f"/v1/payments/{paid}"
    to.ask("GET", one)
    to.ask("GET", f"/v1/payments/trip/{TRIP}")
    to.ask("GET", f"{one}/receipt")
    for part in ("first", "first", "second"):
        to.ask("POST", f"{one}/refund", {"amount": "10.00", "reason": part}, f"refund-{part}")
    to.ask("POST", f"{one}/refund", {"amount": "1000"}, "refund-more")
    for form in ("json", "html", "pdf"):
        to.ask("GET", f"{one}/receipt?format={form}")
    to.ask("GET", f"{one}/receipt", Accept="text/html")
    rest = to.ask("POST", "/v1/refunds", {"payment_id": paid, "reason": "rest"}, "refund-rest")
    to.ask("GET", f"/v1/refunds/{rest['refund_id']}")
    to.ask("PATCH", f"/v1/refunds/{rest['refund_id']}/status", {"status": "FAILED"})
    to.ask("GET", f"{one}/refunds?total=true")
    to.ask("GET", f"{one}/receipt")
    to.ask("DELETE", one, key="trip-delete")
    return [paid]


def _order(to: Recording) -> list[int]:
    """Orders: taken, declined, not known, to be acted on; created first, then charged."""
    charge = {"order_id": 900001, "amount": "12.5", "currency": "inr", "method": "credit_card"}
    paid = [to.ask("POST", "/v1/payments/charge", charge, "order")["payment_id"]]
    for number, token in enumerate(
        ("tok_decline_insufficient_funds", "tok_decline_do_not_honor", "tok_requires_action")
    ):
        body = {**charge, "order_id": 900010 + number, "payment_token": token}
        to.ask("POST", "/v1/payments/charge", body, token)
    created = {"order_id": 900020, "amount_minor": 1999, "reference": "mine", "user_id": 7}
    waits = to.ask("POST", "/v1/payments", created, "create")["payment_id"]
    to.ask("POST", "/v1/payments", created, "create")
    to.ask("POST", f"/v1/payments/{waits}/charge", {"method": "WALLET"}, "charge-pending")
    to.ask("POST", f"/v1/payments/{waits}/charge", {"method": "WALLET"}, "charge-again")
    dropped = to.ask("POST", "/v1/payments", {"amount": 3, "order_id": 900021})["payment_id"]
    to.ask("POST", f"/v1/payments/{dropped}/cancel", {"reason": "Ordered twice"})
    to.ask("DELETE", f"/v1/payments/{dropped}")
    to.ask("GET", "/v1/payments/order/900001")
    found = to.ask("GET", f"/v1/payments/{paid[0]}")
    to.ask("GET", f"/v1/payments/transaction/{found['transaction_id']}")
    yen = {**charge, "order_id": 900030, "amount": 500, "currency": "JPY"}
    dinar = {**charge, "order_id": 900031, "amount": "1.234", "currency": "KWD"}
    paid += [
        to.ask("POST", "/v1/payments/charge", body, key)["payment_id"]
        for body, key in ((yen, "yen"), (dinar, "dinar"))
    ]
    return [*paid, waits, dropped]


def _hold(to: Recording) -> list[int]:
    charge = {"order_id": 900040, "amount": "60.00", "method": "CARD", "capture": False}
    held = to.ask("POST", "/v1/payments/charge", charge, "hold")["payment_id"]
    to.ask("GET", f"/v1/payments/{held}/receipt")
    to.ask("POST", f"/v1/payments/{held}/refund", {}, "refund-held")
    to.ask("POST", f"/v1/payments/{held}/capture", {"amount": "60.01"}, "capture-more")
    to.ask("POST", f"/v1/payments/{held}/capture", {"amount": "40.00"}, "capture")
    to.ask("POST", f"/v1/payments/{held}/capture", {"amount": "40.00"}, "capture")
    voided = to.ask("POST", "/v1/payments/charge", {**charge, "order_id": 900041}, "hold-2")
    to.ask("POST", f"/v1/payments/{voided['payment_id']}/cancel", {})
    to.ask("POST", f"/v1/payments/{voided['payment_id']}/cancel", {"reason": "x"}, "void")
    to.ask("POST", f"/v1/payments/{voided['payment_id']}/cancel", {"reason": "x"}, "void")
    return [held, voided["payment_id"]]


def _cash(to: Recording) -> list[int]:
    cash = {"order_id": 900050, "amount": "8.00", "method": "cod", "driver_id": 5}
    waits = to.ask("POST", "/v1/payments", cash)["payment_id"]
    to.ask("PATCH", f"/v1/payments/{waits}/status", {"status": "REFUNDED"})
    to.ask("PATCH", f"/v1/payments/{waits}/status", {"status": "completed", "reason": "paid"})
    back = to.ask("POST", f"/v1/payments/{waits}/refund", {"amount": "3"}, "refund-cash")
    to.ask("PATCH", f"/v1/refunds/{back['refund_id']}/status", {"status": "SUCCESS"})
    to.ask("GET", f"/v1/payments/{waits}")
    asked = {**cash, "order_id": 900051}
    charged = to.ask("POST", "/v1/payments/charge", asked, "cash")["payment_id"]
    return [waits, charged]


def _refusals(to: Recording) -> list[int]:
    charge = {"order_id": 900060, "amount": "1", "method": "CARD"}
    to.ask("POST", "/v1/payments/charge", charge)
    wrong: tuple[dict[str, Any], ...] = (
        {"amount": "1.001"}, {"amount": -1}, {"amount": "100000.01"}, {"amount": 1e30},
        {"currency": "XXX"}, {"method": "GOLD"}, {"surprise": 1}, {"amount": None},
        {"amount_minor": 100}, {"description": "4111 1111 1111 1111"}, {"provider": "nobody"},
        {"trip_id": NOT_COMPLETED}, {"trip_id": 10**9}, {"idempotency_key": "other"},
    )  # fmt: skip
    for number, change in enumerate(wrong):
        to.ask("POST", "/v1/payments/charge", {**charge, **change}, f"bad-{number}")
    fare = {"trip_id": OTHER_TRIP, "amount": "1.00", "method": "CARD"}
    to.ask("POST", "/v1/payments/charge", fare, "bad-fare")
    for raw in ("", "[]", "{", '{"amount": 1, "amount": 1}', '{"amount": NaN}', "[" * 20):
        to.ask("POST", "/v1/payments/charge", raw=raw, key="bad-json")
    to.ask("POST", "/v1/payments/charge", raw="a=b", key="bad-type", Content_Type="text/plain")
    to.ask("POST", "/v1/payments/charge", raw=" " * 70_000, key="bad-size")
    for path in ("/v1/payments/999999999", "/v1/payments/0", "/v1/refunds/999999999", "/v2/x",
                 "/v1/payments/trip/999999999", "/v1/payments/transaction/none",
                 "/v1/payments?limit=0", "/v1/payments?offset=10001", "/v1/payments?cursor=x",
                 "/v1/payments?limit=1&page=2", "/v1/payments/999999999/receipt"):  # fmt: skip
        to.ask("GET", path)
    to.ask("PUT", "/v1/payments")
    to.ask("DELETE", "/v1/payments/1", raw="{}")
    return []


def _lists(to: Recording) -> None:
    to.ask("GET", "/v1/payments?limit=3&total=true")
    to.ask("GET", "/v1/payments?page=2&page_size=2&status=completed")
    to.ask("GET", "/v1/payments?reference=mine")
    to.ask("GET", "/v1/payments?order_id=900001&method=card&provider=sandbox")
    to.ask("GET", "/v1/refunds?limit=2")
    to.ask("GET", "/v1/refunds?status=SUCCEEDED&total=1")


def _wait_for_deliveries(to: Recording, payment_id: int) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        told = requests.get(f"{to.at.service}/v1/payments/{payment_id}/events", timeout=PATIENCE)
        owed = [one["what"] for one in told.json()["events"] if one["kind"] == "delivery"]
        if owed and all(what.endswith(": delivered") for what in owed):
            return
        time.sleep(0.2)
    raise RuntimeError(f"not all events of payment {payment_id} were delivered: {owed}")


def _outside(to: Recording) -> None:
    """What the sister services heard, and the provider's books, each in an order of its own."""
    inbox = requests.get(f"{to.at.sandbox}/sandbox/inbox", timeout=PATIENCE).json()["inbox"]
    inbox.sort(key=lambda row: (row["service"], *_numbers(row["headers"]["webhook-id"])))
    for row in inbox:
        headers = [f"{name}: ..." for name in sorted(row["headers"])]
        said = [row["service"], f"{row['method']} {row['path']}", *headers, row["raw"]]
        to.add("told", "\n".join(said))
    books = requests.get(f"{to.at.sandbox}/psp/charges", timeout=PATIENCE).json()["charges"]
    for row in sorted(books, key=lambda row: str(row.pop("created_at"))):
        to.add("in the provider's books", json.dumps(row, indent=1))


def _numbers(event: str) -> list[int]:
    """Of an event's id, which is its payment's and its place there."""
    return [int(part) for part in event.split("-")]


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory(prefix="recording-") as directory,
        whole_service(Path(directory), tree=Path(sys.argv[1]).resolve()) as addresses,
    ):
        text = record(addresses)
    Path(sys.argv[2]).write_text(text)
    print(f"{text.count('== ')} answers in {sys.argv[2]}")
