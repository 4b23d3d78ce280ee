"""How the steps of test_model.py are done: to the service, to the sandbox, and to the model."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from flask import Flask
from hypothesis.stateful import RuleBasedStateMachine
from marshmallow import Schema

from payment_service.domain.callers import Caller
from payment_service.domain.errors import PaymentExists, ProviderUnavailable
from payment_service.extensions import db
from payment_service.idempotency import Key, fingerprint
from payment_service.providers import sandbox as wire
from payment_service.schemas.payments import (
    CancelPaymentSchema,
    CapturePaymentSchema,
    ChargePaymentSchema,
    ChargePendingPaymentSchema,
    CreatePaymentSchema,
)
from payment_service.schemas.refunds import RefundPaymentSchema
from payment_service.services import charges, expiry, holds, payments, refunds, takeover
from payment_service.services.moves import resolution
from payment_service.services.moves import rows as service_rows
from payment_service.services.moves.answers import Answer, Ended
from payment_service.services.moves.operations import operation_of
from tests.books import execute, rows
from tests.fixtures import a_key, a_number
from tests.model import BUSY, DECLINE, SILENCES, Ask, Paid
from tests.patience import PATIENCE
from tests.sandbox_calls import arm
from tests.sandbox_server import Sandbox

CALLER = Caller("local")
CHARGE = "/v1/payments/charge"
DONE = {"charge": 201, "authorize": 201}
VERBS = {"expire": "void"}
DOORS: dict[str, tuple[Callable[..., Ended], type[Schema]]] = {
    CHARGE: (charges.charge, ChargePaymentSchema),
    "charge": (takeover.charge_pending, ChargePendingPaymentSchema),
    "authorize": (takeover.charge_pending, ChargePendingPaymentSchema),
    "capture": (holds.capture, CapturePaymentSchema),
    "refund": (refunds.refund, RefundPaymentSchema),
    "void": (payments.cancel, CancelPaymentSchema),
}


class World:
    """The app, its provider, and how often each reference was sent."""

    def __init__(self, app: Flask, sandbox: Sandbox, sent: Counter[str]) -> None:
        self.app, self.sandbox, self.sent = app, sandbox, sent
        self.session = requests.Session()

    def arm(self, verb: str, fault: str | None, token: str) -> None:
        if fault is not None:
            arm(self.sandbox, VERBS.get(verb, verb), fault, match={"token": token})


class Steps(RuleBasedStateMachine):
    """What the rules are made of. `touched` are the payments whose provider is looked at next."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.orders = [a_number() for _ in range(3)]
        self.paid: list[Paid] = []
        self.touched: list[Paid] = []
        self.editions: dict[str, Any] = {}

    def _charge(
        self, order: int, amount: int, hold: bool, ending: str | None, *, by_id: bool = False
    ) -> None:
        paid = Paid(self.orders[order], amount * 100, f"card-{a_key()}")
        priced = {"order_id": paid.order, "amount_minor": paid.amount}
        command = {"method": "CARD", "payment_token": paid.token}
        verb = "authorize" if hold else "charge"
        more = {"capture": False} if hold else {}
        ask = Ask(verb, 1, paid.amount, a_key(), CHARGE, {**priced, **command, **more})
        if self._standing_for(paid) is not None:
            with pytest.raises(PaymentExists):
                self._create({**priced, **command}) if by_id else self._send(paid, ask)
            return
        if by_id:
            self._create({**priced, **command})
            self._find(paid)
            ask.path, ask.command = f"/v1/payments/{paid.payment_id}/charge", {**command, **more}
        self.paid.append(paid)
        self._ask(paid, ask, ending)

    def _create(self, command: dict[str, Any]) -> None:
        made = CreatePaymentSchema().load(command)
        with self.world.app.app_context():
            payments.create(command=made, key=None, caller=CALLER)

    def _arrives(self, paid: Paid, ask: Ask) -> None:
        other, dead = self._standing_for(paid), not paid.live
        self._deliver(paid, ask)
        if not paid.provider_does(ask):
            if ask.open:
                self._wait_out(paid, ask)
                paid.comes_out(ask, well=False)
            return
        paid.comes_out(ask, well=True)
        self._resolve(paid, ask)
        if dead and other is not None:
            paid.surplus = True
            self._end_surplus(paid)

    def _ask(self, paid: Paid, ask: Ask, ending: str | None) -> None:
        self.world.arm(ask.verb, ending, paid.token)
        paid.asks.append(ask)
        if ending == BUSY:
            with pytest.raises(ProviderUnavailable):
                self._send(paid, ask)
            ask.key = ""  # it is free again
            paid.comes_out(ask, well=False)
            if not paid.payment_id:
                self._find(paid)
            return
        answer = self._send(paid, ask)
        if ending in SILENCES:
            ask.open, expected = True, 202
            if ask.verb in ("capture", "void"):
                paid.status = "PROCESSING"
            if SILENCES[ending]:
                paid.provider_does(ask)
        else:
            expected = 402 if ending == DECLINE else DONE.get(ask.verb, 200)
            well = ending != DECLINE and paid.provider_does(ask)
            paid.comes_out(ask, well=well)
        if not paid.payment_id:
            self._find(paid)
        assert answer.status == expected, answer
        self._told(ask, answer)

    def _send(self, paid: Paid, ask: Ask) -> Answer:
        """As the API would: the command from the body, and the answer that the key keeps."""
        self.touched.append(paid)
        key = Key("local", f"POST {ask.path}", ask.key, fingerprint(ask.command))
        service, schema = DOORS[CHARGE if ask.path == CHARGE else ask.verb]
        told = {"command": schema().load(ask.command), "key": key, "caller": CALLER}
        if ask.path != CHARGE:
            told["payment_id"] = paid.payment_id
        with self.world.app.app_context():
            answer: Answer | None = service(**told).answer
        assert answer is not None
        return answer

    def _told(self, ask: Ask, answer: Answer) -> None:
        """202 only while it is open; then one answer, for good."""
        assert (answer.status == 202) == ask.open, (answer, vars(ask))
        if not ask.open:
            first = ask.answer or (answer.status, answer.body)
            assert first == (answer.status, answer.body)
            ask.answer = first

    def _learn(self, paid: Paid, ask: Ask) -> None:
        """What a look-up brings: the provider's yes, if it did it; else nothing yet."""
        if ask.open and ask.done:
            paid.comes_out(ask, well=True)

    def _resolve(self, paid: Paid, ask: Ask) -> None:
        self.touched.append(paid)
        with self.world.app.app_context():
            resolution.resolve(payment_id=paid.payment_id, number=ask.number)

    def _give_up(self, paid: Paid, ask: Ask) -> None:
        self._wait_out(paid, ask)
        ask.given_up = not ask.done
        paid.comes_out(ask, well=ask.done)

    def _wait_out(self, paid: Paid, ask: Ask) -> None:
        for _ in range(2):
            execute(
                self.world.app,
                "UPDATE transactions SET send_before = send_before - interval '1 hour',"
                " not_found_at = not_found_at - interval '1 hour'"
                " WHERE payment_id = :id AND number = :number",
                id=paid.payment_id, number=ask.number,
            )  # fmt: skip
            self._resolve(paid, ask)

    def _deliver(self, paid: Paid, ask: Ask) -> None:
        """The network delivers a request at last."""
        with self.world.app.app_context(), service_rows_of(self.world.app, paid) as found:
            payment, asked = found
            row = service_rows.find_transaction(asked, ask.number)
            earlier = [one for one in asked if one["number"] != ask.number]
            payment["payment_token"] = paid.token  # what is kept of it is opened for a charge alone
            path, body = wire.request_for(operation_of(payment, row, earlier))
        self.world.session.post(self.world.sandbox.url + path, json=body, timeout=PATIENCE)
        self.touched.append(paid)

    def _end_surplus(self, paid: Paid) -> None:
        """The worker gives back what came in beside another payment for the order."""
        self._expiry()
        refund = paid.status == "SUCCESS"
        verb, amount = ("refund", paid.captured) if refund else ("expire", paid.amount)
        ask = Ask(verb, self._next(paid), amount, "", "", {})
        paid.asks.append(ask)
        paid.provider_does(ask)
        paid.comes_out(ask, well=True)

    def _time_is_over(self, paid: Paid) -> None:
        execute(
            self.world.app,
            "UPDATE payments SET expires_at = now() - interval '1 minute' WHERE payment_id = :id",
            id=paid.payment_id,
        )
        self._expiry()

    def _expiry(self) -> None:
        with self.world.app.app_context():
            expiry.run_once()

    def _find(self, paid: Paid) -> None:
        (row,) = rows(
            self.world.app,
            "SELECT payment_id, reference FROM payments WHERE order_id = :order"
            " ORDER BY payment_id DESC LIMIT 1",
            order=paid.order,
        )  # fmt: skip
        paid.payment_id, paid.reference = row["payment_id"], row["reference"]

    def _stored(self) -> list[dict[str, Any]]:
        ids = [paid.payment_id for paid in self.paid]
        return rows(
            self.world.app,
            "SELECT p.*, (SELECT count(*) FROM events e WHERE e.payment_id = p.payment_id"
            "   AND CAST(e.body AS json) -> 'data' ->> 'contradicted' = 'true') AS contradicted,"
            " array_agg(t.number ORDER BY t.number) AS numbers,"
            " array_agg(t.number ORDER BY t.number) FILTER (WHERE t.status = 'PROCESSING') AS open"
            " FROM payments p JOIN transactions t USING (payment_id)"
            " WHERE p.payment_id = ANY (:ids) GROUP BY p.payment_id",
            ids=ids,
        )

    def _standing_for(self, paid: Paid) -> Paid | None:
        """Another payment that lives for the same order, in its place."""
        same = [p for p in self.paid if p.order == paid.order and p is not paid]
        return next((p for p in same if p.live and not p.surplus), None)

    def _some(self, *statuses: str) -> list[Paid]:
        return [p for p in self.paid if p.status in statuses and not p.surplus]

    def _pick(self, which: int, *statuses: str) -> Paid:
        found = self._some(*statuses)
        return found[which % len(found)]

    def _asks(self, open: bool | None = None) -> list[tuple[Paid, Ask]]:
        return [
            (paid, ask) for paid in self.paid for ask in paid.asks
            if ask.key and (open is None or ask.open == open)
        ]  # fmt: skip

    def _lost(self) -> list[tuple[Paid, Ask]]:
        """Requests that never arrived, of payments with nothing else under way."""
        return [
            (paid, ask) for paid, ask in self._asks()
            if (ask.open or ask.given_up) and not ask.done
            and not any(other.open for other in paid.asks if other is not ask)
        ]  # fmt: skip

    def _next(self, paid: Paid) -> int:
        return len(paid.asks) + 1


@contextlib.contextmanager
def service_rows_of(app: Flask, paid: Paid) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """The payment and its requests as the service reads them."""
    with db.engine.connect() as connection:
        payment = service_rows.read_payment(connection, paid.payment_id)
        assert payment is not None
        yield payment, service_rows.read_transactions(connection, paid.payment_id)
