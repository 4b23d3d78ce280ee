"""Callers that behave as real ones: a new key only after a definite answer, else the same request
again; and they keep each answer that they were given."""

from __future__ import annotations

import contextlib
import random
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import requests

from tests.campaign import arming, timing
from tests.campaign.dialects import DIALECTS, Dialect, drawn
from tests.campaign.faulty import Levers
from tests.campaign.payers import Payers
from tests.campaign.told import KEPT, Answer, Asked, Told
from tests.patience import PATIENCE

DECLINING = ("insufficient_funds", "do_not_honor", "expired_card", "fraud_suspected")
# Not tok_void_decline: a hold that its provider never releases does not expire either.
OTHER_TOKENS = ("tok_requires_action", "tok_pending", "tok_slow_300", "tok_refund_pending",
                "tok_capture_decline", "tok_refund_decline")  # fmt: skip
CURRENCIES = ("INR", "INR", "INR", "USD", "KWD", "JPY")
RECENT = 12
"""How many of the newest payments the callers pick from: few, so that they meet each other."""


@dataclass(frozen=True)
class Known:
    """A payment that a caller was told of."""

    payment_id: int
    token: str | None
    amount: int
    # None: of the sandbox's own provider.
    dialect: Dialect | None = None

    @property
    def step(self) -> int:
        return self.dialect.step if self.dialect else 1


class Market:
    """What all callers share: what they know, what they were told, and whether to go on."""

    def __init__(
        self,
        url: str,
        sandbox_url: str,
        levers: Levers,
        told: Told,
        payers: Payers,
        dialects: Sequence[Dialect] = (),
    ) -> None:
        self.url, self.sandbox_url, self.levers, self.told = url, sandbox_url, levers, told
        self.payers, self.dialects = payers, dialects
        self.closing, self.giving_up = threading.Event(), threading.Event()
        self.held: list[Known] = []
        self.captured: list[Known] = []
        self.trips: list[int] = []
        # Imported PENDING payments, in the place of their trip and beside it.
        self.history: list[int] = []
        self._first = int(time.time()) % 10_000_000 * 1000

    def a_number(self) -> int:
        return self._first + self.told.number()

    def a_trip(self, rng: random.Random) -> int:
        """A COMPLETED trip of its own; the trip service does not know it if it is away."""
        trip, fare = self.a_number(), rng.randint(4000, 40_000) / 100
        body = {"status": "COMPLETED", "rider_id": 101, "driver_id": 201, "distance_km": 5,
                "base_fare": fare, "surge_multiplier": 1.0, "total_fare": fare}  # fmt: skip
        with contextlib.suppress(requests.RequestException):
            requests.put(f"{self.sandbox_url}/sandbox/trips/{trip}", json=body, timeout=PATIENCE)
        return trip


class Caller:
    """One thread of requests, one after the other."""

    def __init__(self, market: Market, rng: random.Random) -> None:
        self.market, self.rng = market, rng
        self.session = requests.Session()
        self.session.trust_env = False

    def run(self) -> None:
        turns: list[tuple[int, Callable[[], None]]] = [
            (30, self.charge), (16, self.authorize), (12, self.capture), (9, self.void),
            (18, self.refund), (4, self.race), (5, self.replay), (3, self.create_then_charge),
            (6, self.charge_history),
        ]  # fmt: skip
        weights, moves = [weight for weight, _ in turns], [move for _, move in turns]
        while not self.market.closing.is_set():
            self.rng.choices(moves, weights)[0]()
            time.sleep(self.rng.uniform(0.02, 0.25))

    # -- what a caller may want

    def charge(self) -> None:
        known = self._charge("charge", {})
        if known and self.rng.random() < 0.3:
            self._refund(known)

    def authorize(self) -> None:
        """A hold; often its end follows at once, before others may have come to it."""
        known = self._charge("authorize", {"capture": False})
        if known and self.rng.random() < 0.6:
            self.rng.choice([self.capture, self.void])(known)

    def capture(self, known: Known | None = None) -> None:
        if known := known or self._pick(self.market.held):
            some = self.rng.random() < 0.4
            body = {"amount_minor": self.rng.randint(1, known.amount)} if some else {}
            asked = self.ask("capture", f"/v1/payments/{known.payment_id}/capture", body, known)
            if self._done(asked):
                amount = body.get("amount_minor", known.amount)
                self.market.captured.append(replace(known, amount=amount))

    def void(self, known: Known | None = None) -> None:
        if known := known or self._pick(self.market.held):
            self.ask("void", f"/v1/payments/{known.payment_id}/cancel", {}, known)

    def refund(self) -> None:
        if known := self._pick(self.market.captured):
            self._refund(known)

    def race(self) -> None:
        """Three callers want to give back the same money at once."""
        known = self._pick(self.market.captured)
        if known is None:
            return
        others = [Caller(self.market, random.Random(self.rng.random())) for _ in range(3)]
        with ThreadPoolExecutor(len(others)) as pool:
            list(pool.map(lambda other: other._refund(known), others))

    def create_then_charge(self) -> None:
        body, token = self._priced()
        made = self.ask("create", "/v1/payments", body)
        if made.final and made.final.status == 201:
            payment_id = made.final.json()["payment_id"]
            known = Known(payment_id, token, body["amount_minor"])
            self._publish(self.ask("charge", f"/v1/payments/{payment_id}/charge", {}, known))

    def charge_history(self) -> None:
        """An imported payment by its id, wherever it lies; what is surplus is cancelled then."""
        if not self.market.history:
            return
        payment_id = self.rng.choice(self.market.history[-RECENT:])
        known = Known(payment_id, self._token(), 4000)
        body = {"payment_token": known.token, "method": "CARD"}
        asked = self.ask("charge", f"/v1/payments/{payment_id}/charge", body, known)
        if asked.final and asked.final.json().get("code") == "payment_exists":
            self.void(known)
        self._publish(asked)

    def replay(self) -> None:
        """Asks again what was answered: the same answer, byte for byte."""
        answered = [asked for asked in self.market.told.all()[-200:] if asked.final]
        if answered:
            asked = self.rng.choice(answered)
            if asked.final and asked.final.status in KEPT:
                self.send(asked)

    def _charge(self, verb: str, more: dict[str, Any]) -> Known | None:
        if dialect := drawn(self.market.dialects, self.rng, hold=verb == "authorize"):
            body = {"order_id": self.market.a_number(), "user_id": 7, **dialect.charge(self.rng)}
            known = Known(0, body.get("payment_token"), body["amount_minor"], dialect)
            return self._publish(self.ask(verb, "/v1/payments/charge", body | more, known))
        body, token = self._priced()
        if self.rng.random() < 0.35:
            body = self._of_a_trip(token)
        elif verb == "charge" and self.rng.random() < 0.06:
            body["method"] = "CASH"
        known = Known(0, token, body.get("amount_minor", 0))
        return self._publish(self.ask(verb, "/v1/payments/charge", body | more, known))

    def _priced(self) -> tuple[dict[str, Any], str]:
        token, amount = self._token(), self.rng.randint(100, 50_000)
        order = self.market.a_number()
        currency = self.rng.choice(CURRENCIES)
        body = {"order_id": order, "amount_minor": amount, "currency": currency, "method": "CARD"}
        return body | {"payment_token": token, "user_id": 7}, token

    def _of_a_trip(self, token: str) -> dict[str, Any]:
        """A trip of its own, or one that somebody else may be charging at this moment."""
        if self.market.trips and self.rng.random() < 0.3:
            trip = self.rng.choice(self.market.trips[-RECENT:])
        else:
            trip = self.market.a_trip(self.rng)
            self.market.trips.append(trip)
        return {"trip_id": trip, "method": "CARD", "payment_token": token}

    def _token(self) -> str:
        luck = self.rng.random()
        if luck < 0.06:
            return f"tok_decline_{self.rng.choice(DECLINING)}"
        if luck < 0.13:
            return self.rng.choice(OTHER_TOKENS)
        return f"card-{secrets.token_hex(6)}"

    def _refund(self, known: Known) -> None:
        most = max(1, known.amount * 6 // 10 // known.step)
        some = {"amount_minor": self.rng.randint(1, most) * known.step}
        body = {} if self.rng.random() < 0.3 else some
        if self.rng.random() < 0.2:
            whole = body | {"payment_id": known.payment_id}
            self.ask("refund", "/v1/refunds", whole, known)
        else:
            self.ask("refund", f"/v1/payments/{known.payment_id}/refund", body, known)

    def _pick(self, known: list[Known]) -> Known | None:
        return self.rng.choice(known[-RECENT:]) if known else None

    def _publish(self, asked: Asked) -> Known | None:
        """What all callers know from here on; cash is not, its refunds wait for a person."""
        if not (self._done(asked) and asked.final) or asked.final.json()["method"] == "CASH":
            return None
        told = asked.final.json()
        amount = asked.body.get("amount_minor", 4000)
        dialect = DIALECTS.get(told["provider"])
        known = Known(told["payment_id"], asked.token, amount, dialect)
        (self.market.held if asked.verb == "authorize" else self.market.captured).append(known)
        return known

    def _done(self, asked: Asked) -> bool:
        return asked.final is not None and asked.final.status in (200, 201)

    # -- how a caller asks

    def ask(self, verb: str, path: str, body: dict[str, Any], known: Known | None = None) -> Asked:
        """One request until its definite answer, with a fault in its way now and then."""
        token = known.token if known else None
        asked = Asked(verb, path, body, f"{verb}-{secrets.token_hex(8)}", token)
        self.market.told.note(asked)
        forgotten = self.market.levers.forgotten
        dialect = known.dialect if known else None
        armed = arming.arm(self.market.levers, self.rng, verb, token, dialect)
        self.until_definite(asked)
        arming.collect(self.market.levers, armed, forgotten)
        return asked

    def until_definite(self, asked: Asked) -> None:
        """The same request again until it is answered for good, or the campaign gives up."""
        pause = 0.1
        while asked.final is None and not self.market.giving_up.is_set():
            self.send(asked)
            if asked.final is None:
                time.sleep(pause * self.rng.uniform(0.7, 1.3))
                pause = min(1.0, pause * 1.5)

    def send(self, asked: Asked) -> None:
        """Sends the request once, and notes the answer, or that none came."""
        asked.tries += 1
        try:
            answer = self.session.post(
                self.market.url + asked.path,
                json=asked.body,
                headers={"Idempotency-Key": asked.key},
                timeout=timing.CALLER_TIMEOUT_SECONDS,
            )
        except requests.RequestException:
            asked.silences += 1
            return
        replayed = answer.headers.get("Idempotent-Replayed") == "true"
        told = Answer(time.time(), answer.status_code, answer.text, replayed)
        asked.answers.append(told)
        if told.status == 202:
            self.market.payers.told(asked, told)
