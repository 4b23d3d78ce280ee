"""Rides for `make demo`: each is a finished trip that is paid for, or not, in one of the ways that
happen. A ride returns the word for what became of it."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn

import requests

TIMEOUT = 30.0  # longer than the service waits for any provider
BIG_FROM, BIG_TO = 5_100, 9_800  # rupees; what the panel's view "Over 5000" is for
FARES = {"INR": (60, 900, 2), "EUR": (6, 80, 2), "AED": (12, 150, 2), "KWD": (1, 12, 3)}
"""From, to and decimals of a fare, in major units."""
METHODS = ("CARD", "CARD", "UPI", "UPI", "WALLET", "NET_BANKING")
REFUSALS = ("insufficient_funds", "do_not_honor", "expired_card", "fraud_suspected")
LOSSES = ("do_and_lose_answer", "do_and_503", "garbage_200", "reset_before_reading")
"""Of the last one the provider never heard, so that it ends as FAILED, the others as SUCCESS."""
ZONES = ("Northgate", "Old Harbour", "Orchard Row", "Saltmarsh", "Tram Depot", "Upper Lakes")
REASONS = ("The ride was too long", "The driver took a wrong way", "Charged after cancelling")

Answer = dict[str, Any]


class Gone(Exception):
    """The service or the sandbox does not answer, or wants what the demo does not have."""


class Otherwise(Exception):
    """A ride that did not go as it was meant to. The message is short: a status and a code."""


@dataclass
class World:
    """The service, with a bearer token if one was given, and the sandbox beside it."""

    service: str
    sandbox: str
    token: str | None = None
    dice: random.Random = field(default_factory=random.Random)
    armed: set[str] = field(default_factory=set)
    later: list[Callable[[], str]] = field(default_factory=list)
    """How rides go on that have begun: a payer decides, a hold is captured."""

    def __post_init__(self) -> None:
        self._http = requests.Session()
        # Far from the trips that the sandbox knows, and from those of an earlier demo.
        self._trip = self.dice.randrange(1_000_000, 1_000_000_000)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Answer]:
        """The service's status and JSON. Raises Gone."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = self._send(method, self.service + path, body, headers)
        if answer.status_code in (401, 403):
            raise Gone(
                f"{self.service} answers {answer.status_code}: it asks for a token. Set TOKEN to"
                " one with payments:write, payments:admin and refunds:write (docs/identity.md)"
            )
        return answer.status_code, _json(answer)

    def tell(self, method: str, path: str, body: Any = None) -> Answer:
        """The sandbox's JSON. Raises Gone."""
        answer = self._send(method, self.sandbox + path, body, {})
        if not answer.ok and answer.status_code != 404:
            raise Gone(f"{self.sandbox}{path} answers {answer.status_code}: no sandbox is there")
        return _json(answer)

    def _send(self, method: str, url: str, body: Any, headers: dict[str, str]) -> requests.Response:
        try:
            return self._http.request(method, url, json=body, headers=headers, timeout=TIMEOUT)
        except requests.RequestException as error:
            where = url.split("/", 3)
            raise Gone(f"{where[0]}//{where[2]} does not answer") from error

    def arm(self, operation: str, fault: str, token: str) -> None:
        """One fault for the payment with this token, used up by it."""
        wanted = {"operation": operation, "fault": fault, "times": 1, "match": {"token": token}}
        self.armed.add(self.tell("POST", "/sandbox/faults", wanted)["id"])

    def disarm(self) -> None:
        """Take back what was armed here and never met its ride, and nothing of others."""
        for fault in sorted(self.armed):
            self.tell("DELETE", f"/sandbox/faults/{fault}")
        self.armed.clear()

    def a_trip(self, currency: str = "INR", fare: str | None = None) -> Answer:
        """What a charge says of a trip that has just ended. The trip service knows it from now
        on."""
        self._trip += 1
        low, high, decimals = FARES[currency]
        fare = fare or f"{self.dice.uniform(low, high):.{decimals}f}"
        way = self.dice.sample(ZONES, 2)
        both = {
            "rider_id": self.dice.randint(1, 120),
            "driver_id": self.dice.randint(1, 60),
            "currency": currency,
        }
        zones = {"pickup_zone": way[0], "drop_zone": way[1]}
        trip = both | zones | {"status": "COMPLETED", "total_fare": fare}
        self.tell("PUT", f"/sandbox/trips/{self._trip}", trip)
        told = {"trip_id": self._trip, "amount": fare, "description": " to ".join(way)}
        return both | told

    def charge(self, *wanted: int, **fields: Any) -> Answer:
        """The payment that one charge led to. Raises Otherwise unless the status is one `wanted`.

        The provider is named, so that no demo ride reaches a real one."""
        return self.move("/v1/payments/charge", *wanted, provider="sandbox", **fields)

    def move(self, path: str, *wanted: int, **fields: Any) -> Answer:
        body = {"idempotency_key": f"demo-{secrets.token_hex(8)}"} | fields
        status, answer = self.ask("POST", path, body)
        if status not in wanted:
            otherwise(status, answer)
        return answer


def otherwise(status: int, answer: Answer) -> NoReturn:
    raise Otherwise(f"{status} {answer.get('code') or answer.get('failure_code') or ''}".strip())


def _json(answer: requests.Response) -> Answer:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def paid(world: World) -> str:
    world.charge(201, **world.a_trip(), method=world.dice.choice(METHODS))
    return "paid"


def paid_abroad(world: World) -> str:
    currency = world.dice.choice([name for name in FARES if name != "INR"])
    world.charge(201, **world.a_trip(currency), method=world.dice.choice(("CARD", "WALLET")))
    return "paid"


def paid_much(world: World) -> str:
    fare = f"{world.dice.uniform(BIG_FROM, BIG_TO):.2f}"
    world.charge(201, **world.a_trip(fare=fare), method="CARD")
    return "paid"


def refused(world: World) -> str:
    """Every second rider has another card, which is good."""
    trip, code = world.a_trip(), world.dice.choice(REFUSALS)
    world.charge(402, **trip, method="CARD", payment_token=f"tok_decline_{code}")
    if world.dice.random() < 0.5:
        world.charge(201, **trip, method="CARD")
    return "refused"


def lost(world: World) -> str:
    """The worker looks up what became of it."""
    token = f"demo-{secrets.token_hex(8)}"
    world.arm("charge", world.dice.choice(LOSSES), token)
    world.charge(202, **world.a_trip(), method="CARD", payment_token=token)
    return "lost"


def refunded_in_part(world: World) -> str:
    payment = _to_refund(world)
    part = _share(payment, world.dice.randint(10, 80))
    return _refund(world, payment, "refunded in part", amount=part)


def refunded_whole(world: World) -> str:
    return _refund(world, _to_refund(world), "refunded whole")


def refund_lost(world: World) -> str:
    token = f"demo-{secrets.token_hex(8)}"
    payment = _to_refund(world, token)
    world.arm("refund", "do_and_lose_answer", token)
    return _refund(world, payment, "refunded whole", wanted=202)


def refund_refused(world: World) -> str:
    return _refund(world, _to_refund(world, "tok_refund_decline"), "refund refused", wanted=402)


def _to_refund(world: World, card: str = "tok_ok") -> Answer:
    return world.charge(201, **world.a_trip(), method="CARD", payment_token=card)


def _share(payment: Answer, percent: int) -> str:
    """Of an amount in rupees."""
    return f"{Decimal(payment['amount']) * percent / 100:.2f}"


def _refund(world: World, payment: Answer, word: str, *, wanted: int = 200, **fields: Any) -> str:
    reason = world.dice.choice(REASONS)
    world.move(f"/v1/payments/{payment['payment_id']}/refund", wanted, reason=reason, **fields)
    return word


def held(world: World) -> str:
    """Three of four are captured later, in whole or in part; one is let go."""
    payment = world.charge(201, **world.a_trip(), method="CARD", capture=False)
    path = f"/v1/payments/{payment['payment_id']}"

    def captured() -> str:
        part = {}
        if world.dice.random() < 0.3:
            part = {"amount": _share(payment, 90)}
        world.move(f"{path}/capture", 200, **part)
        return "captured"

    def released() -> str:
        world.move(f"{path}/cancel", 200, reason="The rider cancelled")
        return "released"

    world.later.append(released if world.dice.random() < 0.25 else captured)
    return "held"


def cash(world: World) -> str:
    """Of three drivers two bring the fare in, and one of them has to hand some of it back."""
    payment = world.move("/v1/payments", 201, **world.a_trip(), method="CASH")
    path = f"/v1/payments/{payment['payment_id']}"

    def collected() -> str:
        status, answer = world.ask("PATCH", f"{path}/status", {"status": "SUCCESS"})
        if status != 200:
            otherwise(status, answer)
        if world.dice.random() < 0.3:
            _refund(world, payment, "", wanted=202, amount=_share(payment, 20))
        return "cash collected"

    if world.dice.random() < 0.67:
        world.later.append(collected)
    return "cash"


def waits_for_payer(world: World) -> str:
    """Two payers of three decide, mostly with yes; the third has put the phone away."""
    fields = world.a_trip() | {"method": "WALLET", "payment_token": "tok_requires_action"}
    payment = world.charge(202, **fields)
    reference = f"{payment['reference']}-1"

    def decided() -> str:
        outcome = "approve" if world.dice.random() < 0.7 else "decline"
        world.tell("POST", f"/sandbox/actions/{reference}", {"outcome": outcome})
        return "decided by the payer"

    if world.dice.random() < 0.67:
        world.later.append(decided)
    return "waiting for the payer"


RIDES: tuple[tuple[Callable[[World], str], int], ...] = (
    (paid, 10),
    (paid_abroad, 3),
    (paid_much, 1),
    (refused, 3),
    (lost, 2),
    (refunded_in_part, 2),
    (refunded_whole, 1),
    (refund_lost, 1),
    (refund_refused, 1),
    (held, 3),
    (cash, 2),
    (waits_for_payer, 1),
)
"""Each kind of ride, and how many there are of it among thirty."""
