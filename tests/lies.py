"""Webhooks that are not true, of each of the five providers, made of a true one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import NAMESPACE_URL, uuid5

from payment_service.sandbox.dialects.fiuu import signatures as fiuu_signs
from payment_service.sandbox.dialects.stripe.events import SECRET as STRIPE_SECRET
from payment_service.sandbox.dialects.stripe.events import signed as stripe_signs
from payment_service.sandbox.dialects.zaincash.signing import KEY as ZAINCASH_KEY
from payment_service.sandbox.dialects.zaincash.signing import signed as zaincash_signs
from tests.five import Sent
from tests.harness_fib import SECRET as FIB_SECRET
from tests.harness_swish import SECRET as SWISH_SECRET

UNKNOWN = "PAY-20200101-000000000000-1"
"""A reference of ours that was never given."""
LONG_AGO = 3600
"""Seconds; far beyond what any of them may be old."""


class Fate(StrEnum):
    """What becomes of one."""

    REFUSED = "400, nothing kept"
    NOT_KEPT = "heard, nothing kept"
    LOOKED_UP = "heard, and the request looked up"
    ORPHANED = "kept"
    MISMATCH = "kept, and the request looked up"


@dataclass(frozen=True)
class Lie:
    """`tell` makes it of a true one and of the reference of another provider's payment."""

    fate: Fate
    tell: Callable[[Sent, str], Sent]


def _leaves(found: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each value that is none of others."""
    inside = found.items() if isinstance(found, dict) else enumerate(found)
    for name, value in inside:
        if isinstance(value, dict | list) and value:
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name)


def _other(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else f"{value or ''}1"


def _changed(found: Any, path: tuple[Any, ...], value: Any = None) -> Any:
    """A copy with another value there."""
    copy = json.loads(json.dumps(found))
    place = copy
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = _other(place[path[-1]]) if value is None else value
    return copy


# Stripe


def _stripe(*changes: tuple[str, Any], secret: str = STRIPE_SECRET, age: int = 0) -> Any:
    """An event of its own with these changes of its object, `/` before those of the event; signed.
    A value may be made of the other payment's reference."""

    def tell(sent: Sent, other: str) -> Sent:
        event = json.loads(sent.body) | {"id": f"evt_{secrets.token_hex(12)}"}
        for name, value in changes:
            told = value(other) if callable(value) else value
            if name.startswith("/"):
                event[name[1:]] = told
            else:
                event["data"]["object"][name] = told
        body = json.dumps(event).encode()
        return Sent(body, {"Stripe-Signature": stripe_signs(body, secret, int(time.time()) - age)})

    return tell


def _stripe_header(**changes: str) -> Any:
    def tell(sent: Sent, _: str) -> Sent:
        parts = dict(part.split("=") for part in sent.headers["Stripe-Signature"].split(","))
        header = ",".join(f"{name}={value}" for name, value in (parts | changes).items())
        return replace(sent, headers={"Stripe-Signature": header})

    return tell


def _unsigned(sent: Sent, _: str) -> Sent:
    kept = {name: sent.headers[name] for name in ("Content-Type",) if name in sent.headers}
    return replace(sent, headers=kept)


_STRIPE = {
    "other key": Lie(Fate.REFUSED, _stripe(secret="whsec_of_somebody_else")),
    "too old": Lie(Fate.REFUSED, _stripe(age=LONG_AGO)),
    "too new": Lie(Fate.REFUSED, _stripe(age=-LONG_AGO)),
    "no signature": Lie(Fate.REFUSED, _unsigned),
    "another time than the signed one": Lie(Fate.REFUSED, _stripe_header(t=str(int(time.time())))),
    "another signature": Lie(Fate.REFUSED, _stripe_header(v1="0" * 64)),
    "another provider's payment": Lie(
        Fate.MISMATCH, _stripe(("metadata", lambda other: {"reference": other}))
    ),
    "unknown reference": Lie(Fate.ORPHANED, _stripe(("metadata", {"reference": UNKNOWN}))),
    "other amount": Lie(Fate.MISMATCH, _stripe(("amount", 1), ("amount_received", 1))),
    "more was paid than asked for": Lie(Fate.MISMATCH, _stripe(("amount_received", 10**7))),
    "other currency": Lie(Fate.MISMATCH, _stripe(("currency", "sek"))),
    "other merchant": Lie(Fate.MISMATCH, _stripe(("/account", "acct_of_somebody_else"))),
    "other mode": Lie(Fate.MISMATCH, _stripe(("/livemode", True))),
    "other id": Lie(Fate.MISMATCH, _stripe(("id", "pi_of_somebody_else"))),
}


def _stripe_fields(sent: Sent) -> Iterator[Sent]:
    event = json.loads(sent.body)
    for path in _leaves(event):
        yield replace(sent, body=json.dumps(_changed(event, path)).encode())


# Fiuu

_FIUU_SIGNED = ("tranID", "orderid", "status", "domain", "amount", "currency", "appcode", "paydate")


def _fiuu(key: str = fiuu_signs.SECRET_KEY, **changes: Any) -> Any:
    """A notification with these changes; signed."""

    def tell(sent: Sent, other: str) -> Sent:
        fields = dict(parse_qsl(sent.body.decode(), keep_blank_values=True))
        fields |= {name: other if value is None else value for name, value in changes.items()}
        signed = {**fields, "skey": fiuu_signs.notification(fields, key)}
        return replace(sent, body=urlencode(signed).encode())

    return tell


def _fiuu_without_skey(sent: Sent, _: str) -> Sent:
    return replace(sent, body=sent.body[: sent.body.index(b"&skey=")])


_FIUU = {
    "other key": Lie(Fate.REFUSED, _fiuu(key="another")),
    "no signature": Lie(Fate.REFUSED, _fiuu_without_skey),
    "another provider's payment": Lie(Fate.MISMATCH, _fiuu(orderid=None)),
    "unknown reference": Lie(Fate.ORPHANED, _fiuu(orderid=UNKNOWN)),
    "other amount": Lie(Fate.MISMATCH, _fiuu(amount="0.01")),
    "other currency": Lie(Fate.MISMATCH, _fiuu(currency="SGD")),
    "other merchant": Lie(Fate.MISMATCH, _fiuu(domain="SB_other")),
}


def _fiuu_fields(sent: Sent) -> Iterator[Sent]:
    fields = dict(parse_qsl(sent.body.decode(), keep_blank_values=True))
    for name in (*_FIUU_SIGNED, "skey"):
        yield replace(sent, body=urlencode({**fields, name: f"{fields[name]}1"}).encode())


# ZainCash


def _claims(sent: Sent) -> tuple[list[str], Any]:
    """The parts of the JWT, and what it says."""
    parts = json.loads(sent.body)["webhook_token"].split(".")
    return parts, json.loads(base64.urlsafe_b64decode(parts[1] + "=="))


def _with_token(sent: Sent, token: str) -> Sent:
    return replace(sent, body=json.dumps({"webhook_token": token}).encode())


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _zaincash(key: str = ZAINCASH_KEY, data: Any = lambda other: {}, **claims: Any) -> Any:
    """An event of its own with other claims, and other data of the payment; signed."""

    def tell(sent: Sent, other: str) -> Sent:
        said = _claims(sent)[1] | {"eventId": secrets.token_hex(12)} | claims
        said["data"] |= data(other)
        return _with_token(sent, zaincash_signs(said, key))

    return tell


def _of_order(reference: str) -> dict[str, str]:
    """As ZainCash would speak of it, had it been asked."""
    known_as = str(uuid5(NAMESPACE_URL, f"payment-service:{reference}"))
    return {"orderId": reference, "merchantReferenceId": known_as}


def _by_no_key(sent: Sent, _: str) -> Sent:
    said = _claims(sent)[1]
    return _with_token(sent, f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(said)}.")


def _without_mac(sent: Sent, _: str) -> Sent:
    parts, _said = _claims(sent)
    return _with_token(sent, f"{parts[0]}.{parts[1]}.")


_ZAINCASH = {
    "other key": Lie(Fate.REFUSED, _zaincash(key="another-merchant-has-this-key-with-zaincash")),
    "too old": Lie(Fate.REFUSED, _zaincash(exp=int(time.time()) - LONG_AGO)),
    "no token": Lie(Fate.REFUSED, lambda sent, _: replace(sent, body=b"")),
    "no signature": Lie(Fate.REFUSED, _without_mac),
    "signed by no algorithm": Lie(Fate.REFUSED, _by_no_key),
    "another provider's payment": Lie(Fate.MISMATCH, _zaincash(data=_of_order)),
    "unknown reference": Lie(Fate.ORPHANED, _zaincash(data=lambda _: _of_order(UNKNOWN))),
    "other merchant": Lie(
        Fate.MISMATCH,
        _zaincash(data=lambda _: {"merchantReferenceId": str(uuid5(NAMESPACE_URL, ""))}),
    ),
    "other id": Lie(Fate.MISMATCH, _zaincash(data=lambda _: {"transactionId": "another"})),
}
"""It names no amount, currency or mode: what it says is looked up, and there they stand."""


def _zaincash_fields(sent: Sent) -> Iterator[Sent]:
    (header, _, mac), said = _claims(sent)
    for path in _leaves(said):
        yield _with_token(sent, f"{header}.{_part(_changed(said, path))}.{mac}")


# FIB, which signs nothing: what is held against us is the MAC in the address that we gave it


def _fib(reference: str | None = None, secret: str = FIB_SECRET) -> Any:
    """To the address of another request; None for that of the other payment."""

    def tell(sent: Sent, other: str) -> Sent:
        key = hashlib.sha256(f"fib callback\0{secret}".encode()).digest()
        named = other if reference is None else reference
        mac = hmac.new(key, named.encode(), hashlib.sha256).hexdigest()
        return replace(sent, query=urlencode({"reference": named, "mac": mac}))

    return tell


def _fib_other_key(sent: Sent, other: str) -> Sent:
    own = dict(parse_qsl(sent.query))["reference"]
    told: Sent = _fib(own, "another secret")(sent, other)
    return told


def _said(**changes: Any) -> Any:
    """With other members of its body, which nobody has signed."""

    def tell(sent: Sent, _: str) -> Sent:
        return replace(sent, body=json.dumps(json.loads(sent.body) | changes).encode())

    return tell


_FIB = {
    "other key": Lie(Fate.REFUSED, _fib_other_key),
    "no signature": Lie(Fate.REFUSED, lambda sent, _: replace(sent, query="")),
    "another provider's payment": Lie(Fate.NOT_KEPT, _fib()),
    "unknown reference": Lie(Fate.NOT_KEPT, _fib(UNKNOWN)),
    "other id": Lie(Fate.LOOKED_UP, _said(id="another")),
    "other status": Lie(Fate.LOOKED_UP, _said(status="DECLINED")),
}
"""It names no amount, currency, merchant or mode."""


def _query_fields(sent: Sent) -> Iterator[Sent]:
    fields = dict(parse_qsl(sent.query))
    for name in fields:
        yield replace(sent, query=urlencode(fields | {name: _other(fields[name])}))


# Swish, which signs nothing either, and gives back the identifier that we made of the request's id


def _swish(reference: str | None, secret: str = SWISH_SECRET) -> Any:
    """Of another request; None for the other payment's."""

    def tell(sent: Sent, other: str) -> Sent:
        named = other if reference is None else reference
        uuid = hashlib.sha256(named.encode()).hexdigest()[:32].upper()
        found = json.loads(sent.body) | {
            "id": uuid,
            "payeePaymentReference": named.replace("-", ""),
        }
        return Sent(json.dumps(found).encode(), {"callbackIdentifier": _shown(uuid, secret)})

    return tell


def _shown(uuid: str, secret: str) -> str:
    return hmac.new(secret.encode(), uuid.encode(), hashlib.sha256).hexdigest()[:32].upper()


def _swish_other_key(sent: Sent, _: str) -> Sent:
    uuid = json.loads(sent.body)["id"]
    return replace(sent, headers={"callbackIdentifier": _shown(uuid, "another secret")})


_SWISH = {
    "other key": Lie(Fate.REFUSED, _swish_other_key),
    "no signature": Lie(Fate.REFUSED, _unsigned),
    "another provider's payment": Lie(Fate.NOT_KEPT, _swish(None)),
    "unknown reference": Lie(Fate.NOT_KEPT, _swish(UNKNOWN)),
    "other amount": Lie(Fate.LOOKED_UP, _said(amount="0.01")),
    "other currency": Lie(Fate.LOOKED_UP, _said(currency="EUR")),
    "other merchant": Lie(Fate.LOOKED_UP, _said(payeeAlias="1239999999")),
    "other status": Lie(Fate.LOOKED_UP, _said(status="DECLINED", errorCode="RF07")),
}


def _swish_fields(sent: Sent) -> Iterator[Sent]:
    found = json.loads(sent.body)
    uuid = found["id"]
    another = uuid[:-1] + ("0" if uuid[-1] != "0" else "1")
    yield replace(sent, body=json.dumps(found | {"id": another}).encode())
    shown = sent.headers["callbackIdentifier"]
    yield replace(sent, headers={"callbackIdentifier": shown[::-1]})


LIES = {
    "stripe": _STRIPE,
    "fiuu": _FIUU,
    "zaincash": _ZAINCASH,
    "fib": _FIB,
    "swish": _SWISH,
}
"""Those that can be told in each dialect."""

EACH_SIGNED_FIELD: dict[str, Callable[[Sent], Iterator[Sent]]] = {
    "stripe": _stripe_fields,
    "fiuu": _fiuu_fields,
    "zaincash": _zaincash_fields,
    "fib": _query_fields,
    "swish": _swish_fields,
}
"""The true one with one of its signed fields changed, each in turn."""
