"""Stripe's webhooks: one for each event, signed."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from flask import request

from payment_service.sandbox.dialects.stripe import objects
from payment_service.sandbox.memory import Row
from payment_service.sandbox.webhooks import Webhooks

SECRET = "whsec_sandbox_stripe"
"""Signs all events of the sandbox; it is no secret."""


def send(webhooks: Webhooks, event: Row) -> None:
    """Sends it to whoever listens; a lie, where a fault tells one, is signed like the truth."""
    of, event = event["data"]["object"], objects.placed(event, request.host_url)

    def build(lie: str | None) -> tuple[bytes, Mapping[str, str]]:
        body = json.dumps(_told(event, lie)).encode()
        secret = "whsec_of_somebody_else" if lie == "other_key" else SECRET
        header = signed(body, secret)
        if lie == "bad_signature":
            header = header[:-1] + ("0" if header[-1] != "0" else "1")
        return body, {"Content-Type": "application/json", "Stripe-Signature": header}

    webhooks.send(
        dialect="stripe",
        event=event["type"],
        reference=(of.get("metadata") or {}).get("reference"),
        url=webhooks.address_of("stripe"),
        build=build,
    )


def signed(body: bytes, secret: str, moment: int | None = None) -> str:
    """The header: the time, and the HMAC-SHA256 of the time, a point and the body."""
    moment = int(time.time()) if moment is None else moment
    mac = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256)
    return f"t={moment},v1={mac.hexdigest()}"


def _told(event: Row, lie: str | None) -> dict[str, Any]:
    of = dict(event["data"]["object"])
    if lie == "other_amount":
        of |= {name: of[name] + 1 for name in ("amount", "amount_received") if of.get(name)}
    if lie == "other_currency" and "currency" in of:
        of["currency"] = "sek" if of["currency"] != "sek" else "inr"
    told: dict[str, Any] = {**event, "data": {"object": of}}
    return told | ({"account": "acct_of_somebody_else"} if lie == "other_merchant" else {})
