"""A payment's time line as chapters, each line in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from payment_service.admin.shown import amount_in
from payment_service.admin.words import OF_EVENT, OF_FOUND, OF_OUTCOME, OF_VERB
from payment_service.domain import money
from payment_service.domain.reasons import reason_of
from payment_service.domain.vocabulary import Actor
from payment_service.services.timeline import Moment, Timeline


@dataclass(frozen=True)
class Line:
    """One thing that happened: when, by whom, what; what else is known of it, by its name; and the
    provider's own words, masked."""

    at: datetime
    who: str
    what: str
    reason: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    answer: str | None = None


@dataclass(frozen=True)
class Chapter:
    name: str
    lines: list[Line]


_CREATED, _ASKED, _HEARD = "Created", "Asked", "Heard from the provider"
_SETTLED, _REFUNDED, _TOLD = "Settled", "Given back", "Who heard of it"
_ORDER = (_CREATED, _ASKED, _HEARD, _SETTLED, _REFUNDED, _TOLD)
_BEGINS = ("payment.created", "payment.imported")
_ASKS = ("payment.processing", "payment.requires_action", "payment.noted")


def chapters(told: Timeline, answers: Mapping[str, str]) -> list[Chapter]:
    """Those that there are, in the order in which a payment lives. `answers` are by the reference
    of what was asked."""
    found: dict[str, list[Line]] = {name: [] for name in _ORDER}
    for moment in told["events"]:
        found[_chapter(moment)].append(_line(moment, answers))
    return [Chapter(name, lines) for name, lines in found.items() if lines]


def _chapter(moment: Moment) -> str:
    kind, what = moment["kind"], moment["what"]
    if kind == "delivery":
        return _TOLD
    if kind == "webhook":
        return _HEARD
    if "refund" in what:
        return _REFUNDED
    if kind in ("transaction", "lookup") or what in _ASKS:
        return _ASKED
    return _CREATED if what in _BEGINS else _SETTLED


def _line(moment: Moment, answers: Mapping[str, str]) -> Line:
    details = dict(moment["details"])
    answer = answers.get(str(details.get("reference")))
    what = moment["what"]
    if moment["kind"] == "event":
        what = OF_EVENT.get(what, what)
        details.pop("from_status", None)
        details.pop("to_status", None)
    elif moment["kind"] == "transaction":
        what = _asked(what, details)
    elif moment["kind"] == "lookup":
        what, details = _looked_up(details), {}
    elif moment["kind"] == "delivery":
        what = f"{details.pop('sink', '')}: {what.rpartition(': ')[2]}"
    # Who had the provider asked is told by the event of it: a caller, or an operator.
    asked = moment["kind"] == "transaction" and moment["actor"] == Actor.CALLER
    who = details.pop("caller", None) or ("" if asked else moment["actor"]) or ""
    more = {name.replace("_", " ").capitalize(): value for name, value in details.items()}
    return Line(moment["at"], str(who), what, moment["reason"], more, answer)


def _asked(what: str, details: dict[str, Any]) -> str:
    """`charge asked of sandbox` -> Asked sandbox to charge 104.86 INR: done. Looked up twice."""
    verb, _, provider = what.partition(" asked of ")
    currency = details.pop("currency")
    amount = amount_in(money.parse_amount(details.pop("amount"), currency), currency)
    status = str(details.pop("status", ""))
    said = OF_VERB.get(verb, f"{verb} asked of {{}}").format(provider)
    ended = OF_OUTCOME.get(status, status.lower())
    lookups = details.pop("lookups", 0)
    looked = f" Looked up {_times(lookups)}." if lookups else ""
    code = details.get("failure_code")
    why = f" {reason_of(code).why}" if code else ""
    return f"{said} {amount}: {ended}.{why}{_answered(details)}{looked}"


def _looked_up(details: Mapping[str, Any]) -> str:
    """Looked up request 1: the provider has not seen it, after 38 ms."""
    found = OF_FOUND.get(details["found"], details["found"])
    return f"Looked up request {details['number']}: {found}, after {details['ms']} ms."


def _answered(details: dict[str, Any]) -> str:
    """How long it took over HTTP, where it was asked so."""
    ms, status = details.pop("answered_ms", None), details.pop("http_status", None)
    return "" if ms is None else f" Answered in {ms} ms, HTTP {status}."


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
