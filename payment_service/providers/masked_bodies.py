"""What a provider sent, a webhook's body or an answer, as operators may read it: what its names say
to be no secret and nobody's, and masks for all else. A list of what to hide would miss the next
provider's word for a name."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl

from payment_service.domain import cards
from payment_service.json_objects import each_once
from payment_service.telemetry import masking

MASKED = "[masked]"
_FIELD = re.compile(r"[\w.\[\]-]{1,100}")
"""What a form's field is called. A page of HTML has an = somewhere, too."""

SHOWN = frozenset(
    {
        *("id", "object", "type", "event", "eventid", "eventtype", "created", "timestamp"),
        *("status", "currentstatus", "state", "statcode", "statname", "livemode", "apiversion"),
        *("amount", "amountreceived", "amountrefunded", "amountcapturable", "value", "currency"),
        *("reference", "orderid", "tranid", "txnid", "refid", "refundid", "paymentid"),
        *("transactionid", "merchantreferenceid", "externalreferenceid", "paymentintent"),
        *("paymentreference", "payeepaymentreference", "originalpaymentreference"),
        *("errorcode", "declinecode", "failurecode", "reason", "channel", "nbcb", "paydate"),
        *("datecreated", "datepaid", "paidat", "declinedat", "decliningreason"),
        *("kind", "amountminor", "feeminor", "createdat", "capture", "chargereference"),
    }
)
"""Names in lower case, without what parts their words."""


def masked(body: bytes) -> Any:
    """The body's JSON or form with its names; of anything else only how long it is."""
    text = body.decode("utf-8", errors="replace")
    try:
        return _of(json.loads(text, object_pairs_hook=each_once, parse_float=str), None)
    except (ValueError, RecursionError):
        pass
    form = parse_qsl(text)
    if form and all(_FIELD.fullmatch(name) for name, _ in form):
        return {_name(name): _leaf(value, name) for name, value in form}
    return only_its_size(body)


def only_its_size(body: bytes) -> str:
    """Of what can't be masked member by member."""
    return f"{MASKED} {len(body)} bytes"


def _of(value: Any, name: str | None) -> Any:
    if isinstance(value, dict):
        return {_name(key): _of(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_of(item, name) for item in value]
    return _leaf(value, name)


def _name(name: str) -> str:
    """Names are the provider's, but what is no name may stand in a name's place."""
    return masking.of_text(name, cards.masked)


def _leaf(value: Any, name: str | None) -> Any:
    if value is None or isinstance(value, bool):
        return value
    plain = (name or "").lower().replace("_", "").replace("-", "")
    if plain not in SHOWN:
        return MASKED
    if isinstance(value, str):
        return masking.of_text(value, cards.masked)
    return value
