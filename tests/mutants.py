"""make mutants: takes each guard out in a copy, runs the tests that should notice, and says which
one did. A guard that nobody misses is a defect.

A mutant is a text that stands exactly once in a file, and what it becomes. `python -m
tests.mutants NAME ...` runs some, `--seconds N [--seed N]` a part by chance.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 240.0
"""For one mutant's tests; a mutant may well hang what it breaks, and that is noticed too."""

GRACE = 60.0
"""Seconds that tests out of time have to end what they started."""
MARK = "MUTANT_TREE"
"""In the environment of everything that a mutant's tests start: servers have sessions of their own,
so no process group holds them."""
AT_ONCE = 2
FIRST = "migrations/versions/0001_first.py"
REFUND_REQUESTS = "migrations/versions/0012_refund_requests.py"
SERVICES = "payment_service/services"
PROVIDERS = "payment_service/providers"
SWISH, SWISH_THERE = "payment_service/providers/swish.py", "payment_service/sandbox/dialects/swish"

_SECOND_WINDOW = (
    "tests/test_fiuu_service.py::test_a_payer_who_comes_back_from_a_second_window_has_it_looked_up"
)
_NEWS_LOST = (
    "tests/test_fiuu_service.py::test_a_second_payment_whose_news_is_lost_is_found_all_the_same"
)
_LONG_AGO = (
    "tests/test_fiuu_service.py"
    "::test_news_of_what_ended_long_ago_is_looked_up_until_the_provider_was_heard"
)
_WHOLE = (
    "tests/test_fiuu_service.py"
    "::test_a_look_up_that_tells_of_two_payments_is_taken_in_whole_or_not_at_all"
)
_DINARS = "tests/test_dinars.py"
_TAKEN = (
    "tests/test_dinars.py::test_a_refund_that_the_bank_took_and_does_not_show_is_ended_by_a_person"
)


@dataclass(frozen=True)
class Mutant:
    """A guard by its name, where it stands, the text without it, and who should notice."""

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]


def _each_check() -> Iterator[Mutant]:
    """Every CHECK of the first migration, as one that anything passes."""
    text = (ROOT / FIRST).read_text()
    for found in re.finditer(r'sa\.CheckConstraint\(\s*(".*"),\s*name=op\.f\("(\w+)"\)', text):
        whole, condition, name = found.group(0), found.group(1), found.group(2)
        without = whole.replace(condition, '"true"')
        yield Mutant(f"CHECK {name}", FIRST, whole, without, ("tests/test_guards.py",))


def _of_stripe() -> Iterator[Mutant]:
    """What keeps another's intent, and another's word, apart from ours."""
    folder = "payment_service/providers/stripe"
    own, hooks = ("tests/test_stripe.py",), ("tests/test_stripe_webhooks.py",)
    for what, file, old, new, tests in (
        (
            "an intent bears our reference",
            "reading",
            "    if reference_of(found) != (None if operation.is_adopted else operation.reference):",
            "    if False:",
            own,
        ),
        (
            "a page without an address takes no good one's place",
            "reading",
            'members.link(action["redirect_to_url"]["url"])',
            'action["redirect_to_url"]["url"]',
            hooks,
        ),
        (
            "the list is searched for our reference",
            "__init__",
            """            if reading.reference_of(one) == operation.reference:
                return str""",
            "            if True:\n                return str",
            own,
        ),
        (
            "an intent is of the key's mode",
            "reading",
            'if found.get("livemode", live) is not live:',
            "if False:",
            own,
        ),
        ("the list begins before the request", "__init__", "begun_at - MARGIN", "begun_at", own),
        ("the list ends when it surely shows", "__init__", " + longest + MARGIN", " + MARGIN", own),
        (
            "more pages than are read tell nothing",
            "pages",
            "    raise OutcomeUnknown(f",
            "    return\n    print(f",
            own,
        ),
        (
            "one capture is not another",
            "reading",
            "by in (operation.reference, None)",
            "True",
            own,
        ),
        ("after a payer's no it is open", "reading", 'status != "canceled"', "False", own),
        (
            "an event is signed",
            "events",
            "    if not any(_is_signed",
            "    if False and not any(_is_signed",
            hooks,
        ),
        ("an event is new", "events", "> TOLERANCE", "> 1e9", hooks),
        (
            "an event is of the key's mode",
            "events",
            'elif event["livemode"] is not live:',
            'elif event["livemode"] is None:',
            hooks,
        ),
        (
            "an event is of our API version",
            "events",
            'if event["api_version"] == version:',
            "if True:",
            hooks,
        ),
        (
            "localstripe knows the parameter",
            "__init__",
            '"amount_to_capture": operation',
            '"amount": operation',
            ("tests/strangers/test_localstripe.py",),
        ),
    ):
        yield Mutant(f"Stripe: {what}", f"{folder}/{file}.py", old, new, tests)
    yield Mutant(
        "Stripe: its SDK believes the sandbox's signature",
        "payment_service/sandbox/dialects/stripe/events.py",
        'f"{moment}.".encode() + body',
        'body + f".{moment}".encode()',
        ("tests/strangers/test_stripe_sdk.py",),
    )


MUTANTS = (
    *_each_check(),
    Mutant(
        "FIB: the amount that comes back is compared with what was asked for",
        f"{PROVIDERS}/fib.py",
        "    if dinars.minor(value) != (operation.charge_amount or operation.amount):\n",
        "    if dinars.minor(value) == 0:\n",
        ("tests/test_fib.py",),
    ),
    Mutant(
        "FIB: a callback without our MAC is refused",
        f"{PROVIDERS}/fib.py",
        "        if not hmac.compare_digest(",
        "        if False and not hmac.compare_digest(",
        ("tests/test_fib.py",),
    ),
    Mutant(
        "FIB: another payment's status says nothing of this one",
        f"{PROVIDERS}/fib.py",
        '            if found["paymentId"] != known_as:\n',
        '            if not found["paymentId"]:\n',
        ("tests/test_fib.py",),
    ),
    Mutant(
        "FIB: a refund that is not seen there is no refund yet",
        f"{PROVIDERS}/fib.py",
        '    if status == "PAID":  #',
        '    if status == "NEVER":  #',
        ("tests/test_fib.py",),
    ),
    Mutant(
        "ZainCash: the amount that comes back is compared with what was asked for",
        f"{PROVIDERS}/zaincash.py",
        '    if dinars.minor(amount["value"]) != operation.amount:\n',
        '    if dinars.minor(amount["value"]) == 0:\n',
        ("tests/test_zaincash.py",),
    ),
    Mutant(
        "ZainCash: a page for another order is shown to nobody",
        f"{PROVIDERS}/zaincash.py",
        '    if details["orderId"] != operation.reference:\n',
        '    if not details["orderId"]:\n',
        ("tests/test_zaincash.py",),
    ),
    Mutant(
        "ZainCash: the algorithm of its webhooks is pinned",
        f"{PROVIDERS}/zaincash.py",
        "algorithms=[ALGORITHM]",
        'algorithms=[ALGORITHM, "HS384", "HS512"]',
        ("tests/test_zaincash.py",),
    ),
    Mutant(
        "ZainCash: a yes that names no amount is looked up",
        f"{PROVIDERS}/zaincash.py",
        'result=_failed(known_as) if status == "FAILED" else None',
        "result=_failed(known_as)",
        ("tests/test_zaincash.py",),
    ),
    Mutant(
        "ZainCash: news of another merchant's order are a mismatch",
        f"{PROVIDERS}/zaincash.py",
        'mismatch=None if ours else "merchantReferenceId"',
        "mismatch=None",
        ("tests/test_zaincash.py",),
    ),
    Mutant(
        "whole dinars: a part of one is not asked for",
        f"{PROVIDERS}/dinars.py",
        "    if rest:\n",
        "    if rest < 0:\n",
        ("tests/test_fib.py", "tests/test_zaincash.py"),
    ),
    Mutant(
        "a token: many threads ask for one",
        f"{PROVIDERS}/client_credentials.py",
        "asked, mine = self._asked or Future(), self._asked is None",
        "asked, mine = Future(), True",
        ("tests/test_client_credentials.py",),
    ),
    Mutant(
        "a token that is refused is replaced once, and the request sent again once",
        f"{PROVIDERS}/client_credentials.py",
        "            self._forget(token)\n",
        "",
        ("tests/test_client_credentials.py",),
    ),
    Mutant(
        "a token that took too long sends nothing",
        f"{PROVIDERS}/client_credentials.py",
        """    if left <= 0:
        raise NotSent("no time was left to send it")
    return left""",
        "    return max(left, 5.0)",
        ("tests/test_client_credentials.py",),
    ),
    Mutant(
        "by hand: a person settles no refund that the provider settles",
        f"{SERVICES}/refunds.py",
        "provider is not None and TransactionType.REFUND in provider.by_hand",
        "provider is not None",
        ("tests/test_refunds.py", "tests/test_dinars.py"),
    ),
    Mutant(
        "by hand: a person takes no money where only refunds are a person's",
        "payment_service/providers/registry.py",
        "if TransactionType.CHARGE in provider.by_hand and method",
        "if provider.by_hand and method",
        ("tests/test_dinars.py",),
    ),
    Mutant(
        "a void of a wait ends, though a look-up of its charge was quicker",
        f"{SERVICES}/moves/outcomes.py",
        "TransactionStatus.FAILED and not released:",
        "TransactionStatus.FAILED:",
        ("tests/test_dinars.py",),
    ),
    Mutant(
        "the sandbox's FIB: a stranger sees a path that is not the bank's",
        "payment_service/sandbox/dialects/fib/routes.py",
        '@fib.get("/protected/v1/payments/<payment_id>/status")',
        '@fib.get("/protected/v1/payments/<payment_id>")',
        ("tests/strangers/test_fib_sdk.py",),
    ),
    Mutant(
        "the sandbox's FIB: a stranger sees a name that is not the bank's",
        "payment_service/sandbox/dialects/fib/routes.py",
        '        "paymentId": row["id"],\n        "readableCode"',
        '        "payment_id": row["id"],\n        "readableCode"',
        ("tests/strangers/test_fib_sdk.py",),
    ),
    Mutant(
        "Fiuu: a read that was not sent leaves the write before it unknown",
        "payment_service/providers/fiuu/wire.py",
        "            if endpoint in WRITES:",
        "            if True:",
        ("tests/test_fiuu.py",),
    ),
    Mutant(
        "Fiuu: a requery's signature is checked",
        "payment_service/providers/fiuu/reading.py",
        "    if not any(\n        same(",
        "    if False and any(\n        same(",
        ("tests/test_fiuu.py",),
    ),
    Mutant(
        "Fiuu: a requery about another merchant says nothing",
        "payment_service/providers/fiuu/reading.py",
        '    if found.get("Domain") != keys.merchant:',
        "    if False:",
        ("tests/test_fiuu.py",),
    ),
    Mutant(
        "Fiuu: a requery about another order says nothing",
        "payment_service/providers/fiuu/reading.py",
        "    if read.order != order.number:",
        "    if False:",
        ("tests/test_fiuu.py",),
    ),
    Mutant(
        "Fiuu: a requery in another currency says nothing",
        "payment_service/providers/fiuu/reading.py",
        '    if read.currency not in ("", order.currency):',
        "    if False:",
        ("tests/test_fiuu.py",),
    ),
    Mutant(
        "Fiuu: a requery about another amount says nothing",
        "payment_service/providers/fiuu/reading.py",
        "    if minor(read.amount, order.currency) != order.amount:",
        "    if False:",
        ("tests/test_fiuu.py",),
    ),
    Mutant(
        "Fiuu: all transactions of an order are asked for, also where the newest one waits",
        "payment_service/providers/fiuu/__init__.py",
        '        told = rows(self._post("batch", ',
        '        if one.code == "22":\n            return [one]\n'
        '        told = rows(self._post("batch", ',
        ("tests/test_fiuu.py",),
    ),
    Mutant(
        "Fiuu: ten tries of which none paid may not be all",
        "payment_service/providers/fiuu/__init__.py",
        "        if len(found) >= MOST_TOLD:",
        "        if False:",
        ("tests/test_fiuu.py",),
    ),
    Mutant(
        "Fiuu: whatever else paid a page is told",
        "payment_service/providers/fiuu/__init__.py",
        "            return replace(own, also=tuple(one for one in paid if one is not own))",
        "            return own",
        ("tests/test_fiuu.py",),
    ),
    Mutant(
        "Fiuu: a notification of a second payment has the order looked up",
        "payment_service/providers/fiuu/notices.py",
        "        known_as=number,  #",
        "        #",
        ("tests/test_fiuu_service.py",),
    ),
    Mutant(
        "Fiuu: a page that it has not heard of waits",
        "payment_service/providers/fiuu/__init__.py",
        "            return self._page(operation)  #",
        "            return None  #",
        ("tests/test_conformance.py",),
    ),
    Mutant(
        "Fiuu: a refund's signature is checked",
        "payment_service/providers/fiuu/refunds.py",
        '    if not same(said.get("Signature"), keys.refunded(said)):',
        "    if False:",
        ("tests/test_fiuu.py",),
    ),
    Mutant(
        "Fiuu: a refund of another amount is another",
        "payment_service/providers/fiuu/refunds.py",
        '    if "Amount" in said and ',
        "    if False and ",
        ("tests/test_fiuu.py",),
    ),
    Mutant(
        "Fiuu: a refund whose reference was used is looked up",
        "payment_service/providers/fiuu/refunds.py",
        "    if code == USED and (found := look_up(operation, keys, post)):",
        "    if False and (found := look_up(operation, keys, post)):",
        ("tests/test_conformance.py",),
    ),
    Mutant(
        "Fiuu: a capture's answer is not believed",
        "payment_service/providers/fiuu/__init__.py",
        "        found = self._of_hold(operation)\n        if found is not None:\n            return found\n",
        "        found = Result(Outcome.APPROVED, provider_reference=number)\n        return found\n",
        ("tests/test_conformance.py",),
    ),
    Mutant(
        "Fiuu: a notification's signature is checked",
        "payment_service/providers/fiuu/notices.py",
        '    if not same(fields["skey"], keys.notice(fields)):',
        "    if False:",
        ("tests/test_fiuu_webhooks.py",),
    ),
    Mutant(
        "Fiuu: a notification for another merchant is none of ours",
        "payment_service/providers/fiuu/notices.py",
        '        mismatch=None if fields.get("domain") == keys.merchant else "domain",',
        "        mismatch=None,",
        ("tests/test_fiuu_webhooks.py",),
    ),
    Mutant(
        "Fiuu: what is not signed makes no other notification",
        "payment_service/providers/fiuu/notices.py",
        '    said = [fields.get(name, "") for name in NOTICED]',
        "    said = sorted(fields.items())",
        ("tests/test_fiuu_webhooks.py",),
    ),
    Mutant(
        "Fiuu: a try that failed does not end the order before a look-up",
        "payment_service/providers/fiuu/notices.py",
        "        result=said if status == PAID else None,",
        "        result=said if status == PAID else Result(Outcome.DECLINED),",
        ("tests/test_fiuu_webhooks.py", "tests/test_fiuu_service.py"),
    ),
    Mutant(
        "Fiuu: of a field that stands twice neither is believed",
        "payment_service/providers/fiuu/notices.py",
        "    if len(fields) < len(pairs):",
        "    if False:",
        ("tests/test_fiuu_webhooks.py",),
    ),
    Mutant(
        "Fiuu: the sandbox's page takes signed forms only",
        "payment_service/sandbox/dialects/fiuu/page.py",
        "    if merchant != signatures.MERCHANT or not right:",
        "    if False:",
        ("tests/test_fiuu.py",),
    ),
    Mutant(
        "Fiuu: the order of the fields in a query's signature",
        "payment_service/providers/fiuu/signatures.py",
        "        return md5(number, self.merchant, self.verify_key, amount)",
        "        return md5(number, self.verify_key, self.merchant, amount)",
        ("tests/test_fiuu.py",),
    ),
    Mutant(
        "not received is not believed of a request whose id the provider has told",
        f"{SERVICES}/moves/evidence.py",
        """Verdict.NOT_RECEIVED and (transaction["provider_reference"] or was_sent):""",
        """Verdict.NOT_RECEIVED and was_sent:""",
        ("tests/test_unsure.py",),
    ),
    Mutant(
        "pages: not found while the payer has the page is waiting",
        f"{SERVICES}/moves/resolution.py",
        "    if result is None and not waits:",
        "    if result is None:",
        ("tests/test_pages.py",),
    ),
    Mutant(
        "pages: what is on its way when the time is over is waited for",
        f"{SERVICES}/moves/resolution.py",
        "    if over and (result is None or result.outcome is Outcome.REQUIRES_ACTION):",
        "    if over and (result is None or verdict is None):",
        ("tests/test_pages.py",),
    ),
    Mutant(
        "pages: a wait that no void ends is not voided",
        f"{SERVICES}/expiry.py",
        "PAYMENT.c.provider.not_in(by_themselves)",
        "PAYMENT.c.provider.not_in([])",
        ("tests/test_pages.py",),
    ),
    Mutant(
        "pages: what a payer was sent to is watched once it is dead",
        f"{SERVICES}/moves/evidence.py",
        'or (was_sent and over and change.payment["status"] in DEAD):',
        "or False:",
        ("tests/test_pages.py",),
    ),
    Mutant(
        "pages: a no after which the payer may go on is no end",
        f"{SERVICES}/moves/outcomes.py",
        "    if result.outcome is Outcome.DECLINED and result.still_open and waits:",
        "    if False:",
        ("tests/test_pages.py",),
    ),
    Mutant(
        "a caller who asks often puts no look-up of the worker's off",
        f"{SERVICES}/moves/resolution.py",
        "    if caller == WORKER:",
        "    if True:",
        ("tests/test_resolution.py",),
    ),
    Mutant(
        "a watch begins the pauses between look-ups anew",
        f"{SERVICES}/moves/evidence.py",
        '"due_at": soon, "lookups": 0}',
        '"due_at": soon}',
        ("tests/test_resolution.py",),
    ),
    Mutant(
        "news begins the pauses between look-ups anew",
        f"{SERVICES}/moves/hastening.py",
        ", lookups=0)",
        ")",
        ("tests/test_resolution.py",),
    ),
    Mutant(
        "a no after which a payer may go on ends nothing that the payer was sent on to meanwhile",
        f"{SERVICES}/moves/evidence.py",
        "    if verdict is Verdict.DECLINED and result.still_open and was_sent:",
        "    if False:",
        ("tests/test_pages.py",),
    ),
    Mutant(
        "paid twice: the same money is written down once",
        f"{SERVICES}/moves/paid_twice.py",
        "        if other.provider_reference in known:",
        "        if False:",
        ("tests/test_pages.py",),
    ),
    Mutant(
        "a void that was given up is not the one that released the hold",
        f"{SERVICES}/moves/outcomes.py",
        '            if transaction["status"] == TransactionStatus.FAILED:\n                return None',
        "            if False:\n                return None",
        ("tests/test_stripe_payments.py",),
    ),
    Mutant(
        "evidence: of several captures the newest took the hold",
        f"{SERVICES}/moves/evidence.py",
        "    if result.names_no_request and outcomes.may_be_a_later_one_s(transaction, transactions):",
        "    if False:",
        ("tests/test_fiuu_service.py",),
    ),
    Mutant(
        "a capture whose yes was another one's ends",
        f"{SERVICES}/moves/outcomes.py",
        "                closed = _not_captured(closed)",
        "                pass",
        ("tests/test_fiuu_service.py",),
    ),
    Mutant(
        "paid twice: its refund is looked up",
        f"{SERVICES}/moves/resolution.py",
        "(type = 'REFUND' OR cause IS DISTINCT FROM 'paid_twice')",
        "cause IS DISTINCT FROM 'paid_twice'",
        ("tests/test_fiuu_service.py",),
    ),
    Mutant(
        "paid twice: the refund names the money that came second",
        f"{SERVICES}/moves/operations.py",
        "paid_twice.given_back_by(transaction, earlier) or charge",
        "charge",
        ("tests/test_pages.py",),
    ),
    Mutant(
        "paid twice: it is no charge of the payment's own",
        f"{SERVICES}/moves/outcomes.py",
        "        and not paid_twice.is_beside(row)\n",
        "",
        ("tests/test_pages.py",),
    ),
    Mutant(
        "one that can't be ended keeps no other waiting",
        f"{SERVICES}/moves/unattended.py",
        "    except Exception:\n        # One that goes wrong",
        "    except ZeroDivisionError:\n        # One that goes wrong",
        ("tests/test_holds.py",),
    ),
    Mutant(
        "paid twice: it is given back once",
        f"{SERVICES}/giving_back.py",
        '    if any(row["status"] in OPEN for row in asked):',
        "    if False:",
        ("tests/test_pages.py",),
    ),
    Mutant(
        "paid twice: its refund leaves the payment's amounts alone",
        f"{SERVICES}/moves/refund_outcomes.py",
        "    if paid_twice.is_beside(closed):",
        "    if False:",
        ("tests/test_pages.py",),
    ),
    Mutant(
        "paid twice: other payments without an id are not believed",
        "payment_service/providers/provider.py",
        "    if others and (None in others or not paid):",
        "    if False:",
        ("tests/test_pages.py",),
    ),
    Mutant(
        "a hold that a wait led to has a time of its own",
        f"{SERVICES}/moves/outcomes.py",
        '    if kept is None or closed["type"] in ASKS:',
        "    if kept is None:",
        ("tests/test_pages.py",),
    ),
    Mutant(
        "tls: a refused certificate has paid nothing only as the first word",
        "payment_service/http/connections.py",
        "            if not self.heard and (why",
        "            if (why",
        ("tests/test_http_tls.py",),
    ),
    Mutant(
        "restore: a list that broke off before a charge stops nothing",
        f"{SERVICES}/relisting.py",
        "    except (IllegalEdge, NobodyHasIt, IntegrityError, psycopg2.IntegrityError):",
        "    except (IllegalEdge, IntegrityError, psycopg2.IntegrityError):",
        ("tests/test_restoring_elsewhere.py",),
    ),
    Mutant(
        "key claim: the second request with a key gets nothing",
        f"{SERVICES}/charges.py",
        "        {idempotency.CLAIM_ANEW}",
        "        ON CONFLICT (caller, operation, key) DO UPDATE SET payment_id = EXCLUDED.payment_id",
        ("tests/test_races.py", "tests/test_idempotency.py"),
    ),
    Mutant(
        "key claim on the other paths",
        "payment_service/idempotency.py",
        """
        WHERE {_OVER}\"\"\"
""",
        """\"\"\"
""",
        ("tests/test_idempotency.py",),
    ),
    Mutant(
        "a key sent twice: the server's comma makes no third key of it",
        "payment_service/api/headers.py",
        "        value = APART.join(value for name, value in lines if name == twice)",
        '        value = ",".join(value for name, value in lines if name == twice)',
        ("tests/test_repeated_headers.py",),
    ),
    Mutant(
        "a key sent twice: two values are refused",
        "payment_service/api/headers.py",
        "                if values:",
        "                if False:",
        ("tests/test_repeated_headers.py",),
    ),
    Mutant(
        "fingerprint: another body under the same key",
        "payment_service/idempotency.py",
        "    if row.fingerprint != key.fingerprint:",
        "    if False:",
        ("tests/test_idempotency.py",),
    ),
    Mutant(
        "a cancel's key: kept where no provider is asked, too",
        f"{SERVICES}/payments.py",
        "        return _keep(connection, key, ending)",
        "        return ending",
        ("tests/test_payments.py",),
    ),
    Mutant(
        "rate limit: what is over it changes nothing",
        "payment_service/api/limits.py",
        "        if request.method not in CHANGE_NOTHING or request.blueprint in DEAR:",
        "        if False:",
        ("tests/test_rate_limit.py",),
    ),
    Mutant(
        "rate limit: a charge is counted before it begins",
        "payment_service/api/idempotent.py",
        "    limits.expect_room_for(key)\n",
        "",
        ("tests/test_limits.py",),
    ),
    Mutant(
        "rate limit: what is refused before it is counted counts, too",
        "payment_service/api/limits.py",
        "            self.count()\n        try:",
        "            return response\n        try:",
        ("tests/test_limits.py",),
    ),
    Mutant(
        "rate limit: a replay is no charge",
        "payment_service/api/limits.py",
        "    if own is None or idempotency.find(key) is not None:",
        "    if own is None:",
        ("tests/test_limits.py",),
    ),
    Mutant(
        "rate limit: who guesses tokens counts by the address",
        "payment_service/api/limits.py",
        "        if bearer is None:\n            limit, who = self.address, counted_as(get_remote_address())",
        "        if bearer is None:\n            limit, who = self.address, str(g.request_id)",
        ("tests/test_limits.py",),
    ),
    Mutant(
        "rate limit: a connection to Redis is one request's at a time",
        "payment_service/ratelimit/hits.py",
        "            used = self._free.pop()",
        "            used = self._free[-1]",
        ("tests/test_rate_limit.py",),
    ),
    Mutant(
        "edition: another one with each move",
        f"{SERVICES}/reading.py",
        'OF_PAYMENT = edition(PAYMENT, "payment_id", "version")',
        'OF_PAYMENT = func.concat_ws(".", PAYMENT.c.payment_id)',
        ("tests/test_reads.py",),
    ),
    Mutant(
        "lock: the first request is at work",
        "payment_service/idempotency.py",
        "    if row.answer_body is None and row.locked_until is not None and row.locked_until > now:",
        "    if False:",
        ("tests/test_idempotency.py",),
    ),
    Mutant(
        "expiry of keys on read",
        "payment_service/idempotency.py",
        "AND NOT ({_OVER})",
        "AND :now IS NOT NULL",
        ("tests/test_idempotency.py",),
    ),
    Mutant(
        "one live payment for a trip (index)",
        FIRST,
        '"uq_payments_live_trip",\n        "payments",\n        ["trip_id", "purpose", "share"],\n'
        "        unique=True,",
        '"uq_payments_live_trip",\n        "payments",\n        ["trip_id", "purpose", "share"],\n'
        "        unique=False,",
        ("tests/test_guards.py", "tests/test_races.py"),
    ),
    Mutant(
        "one live payment for an order (index)",
        FIRST,
        '"uq_payments_live_order",\n        "payments",\n        ["order_id", "purpose", "share"],\n'
        "        unique=True,",
        '"uq_payments_live_order",\n        "payments",\n        ["order_id", "purpose", "share"],\n'
        "        unique=False,",
        ("tests/test_guards.py", "tests/test_races.py"),
    ),
    Mutant(
        "a provider is asked only in currencies that it takes",
        "payment_service/providers/provider.py",
        "return method in self.methods and (self.currencies is None or currency in self.currencies)",
        "return method in self.methods",
        ("tests/test_routing.py",),
    ),
    Mutant(
        "a provider is asked only for amounts that it can express",
        f"{SERVICES}/routing.py",
        "if amount % provider.step(currency) == 0]",
        "if provider.step(currency)]",
        ("tests/test_routing.py",),
    ),
    Mutant(
        "a provider is asked for no amount under its least",
        f"{SERVICES}/routing.py",
        "if amount >= provider.least.get(currency, 1)]",
        "if amount]",
        ("tests/test_routing.py",),
    ),
    Mutant(
        "a part of a refund that goes back as a whole only",
        f"{SERVICES}/routing.py",
        "    if found and found.full_refunds_only",
        "    if False and found.full_refunds_only",
        ("tests/test_routing.py",),
    ),
    Mutant(
        "an amount of a capture or refund that the provider can't express",
        f"{SERVICES}/routing.py",
        "    if found and amount % found.step(currency):",
        "    if False:",
        ("tests/test_routing.py",),
    ),
    Mutant(
        "an undecided answer's id is kept",
        f"{SERVICES}/moves/steps.py",
        "        if said:",
        "        if False:",
        ("tests/test_conformance_by_id.py",),
    ),
    Mutant(
        "an undecided look-up's id is kept",
        f"{SERVICES}/moves/resolution.py",
        "        unsure.keep(payment_id=payment_id",
        "        dict(payment_id=payment_id",
        ("tests/test_conformance_by_id.py",),
    ),
    Mutant(
        "a look-up carries the provider's id for the request",
        f"{SERVICES}/moves/operations.py",
        'known_as=transaction["provider_reference"],',
        "known_as=None,",
        ("tests/test_conformance_by_id.py",),
    ),
    Mutant(
        "what a provider says again while it is not sure is no news",
        f"{SERVICES}/moves/unsure.py",
        "    if not noted and not changes:",
        "    if False:",
        ("tests/test_unsure.py",),
    ),
    Mutant(
        "doubt after success changes nothing",
        f"{SERVICES}/moves/unsure.py",
        '    if transaction["status"] == TransactionStatus.SUCCESS:',
        "    if False:",
        ("tests/test_unsure.py",),
    ),
    Mutant(
        "a reference is used once (index)",
        FIRST,
        '"uq_payments_reference", "payments", ["reference"], unique=True',
        '"uq_payments_reference", "payments", ["reference"], unique=False',
        ("tests/test_guards.py",),
    ),
    Mutant(
        "dedupe: a delivery is marked once, however many relays hold it",
        "payment_service/outbox/relay.py",
        "WHERE d.done_at IS NULL AND (n.error IS NULL OR d.due_at = n.leased_until)",
        "WHERE (n.error IS NULL OR d.due_at = n.leased_until)",
        ("tests/test_relay.py",),
    ),
    Mutant(
        "lease: one relay delivers what is due",
        "payment_service/outbox/relay.py",
        "WHEN placed.is_head THEN now() + make_interval(secs => :lease)",
        "WHEN placed.is_head THEN placed.due_at + 0 * make_interval(secs => :lease)",
        ("tests/test_relay.py",),
    ),
    Mutant(
        "one open move for a payment (index)",
        FIRST,
        '"uq_transactions_open_move",\n        "transactions",\n        ["payment_id"],\n'
        "        unique=True,",
        '"uq_transactions_open_move",\n        "transactions",\n        ["payment_id"],\n'
        "        unique=False,",
        ("tests/test_guards.py",),
    ),
    Mutant(
        "ceilings: refunded + refund_pending <= captured <= authorized (CHECK)",
        FIRST,
        "refunded + refund_pending <= captured AND captured <= authorized",
        "refund_pending >= 0",
        ("tests/test_guards.py",),
    ),
    Mutant(
        "four eyes: nobody decides on what they asked for (CHECK)",
        REFUND_REQUESTS,
        "state NOT IN ('APPROVED', 'DECLINED') OR decided_by <> asked_by",
        "true",
        ("tests/test_four_eyes.py",),
    ),
    Mutant(
        "four eyes: one open request of a payment (index)",
        REFUND_REQUESTS,
        '["payment_id"],\n        unique=True,',
        '["payment_id"],\n        unique=False,',
        ("tests/test_four_eyes.py",),
    ),
    Mutant(
        "four eyes: audit counts what waits for a decision",
        f"{SERVICES}/audit_rows.py",
        'if row["state"] == "OPEN"]',
        'if row["state"] == "never"]',
        ("tests/test_four_eyes.py",),
    ),
    Mutant(
        "four eyes: what was approved is not held twice",
        f"{SERVICES}/moves/refund_steps.py",
        "counted = of or approved",
        "counted = of",
        ("tests/test_four_eyes.py",),
    ),
    Mutant(
        "four eyes: approved as it was shown",
        f"{SERVICES}/refund_requests.py",
        'if four_eyes.shown(request, payment["version"]) != shown:',
        "if False:",
        ("tests/test_four_eyes.py",),
    ),
    Mutant(
        "four eyes: what went back already is not approved once more",
        f"{SERVICES}/moves/evidence.py",
        "        payment = refund_holds.make_room(connection, payment, transaction)",
        "        pass",
        ("tests/test_four_eyes_room.py",),
    ),
    Mutant(
        "four eyes: an operator's day, one act at a time",
        f"{SERVICES}/acting.py",
        "FOR NO KEY UPDATE OF o",
        "",
        ("tests/test_four_eyes.py",),
    ),
    Mutant(
        "four eyes: one person is not two, by way of others",
        f"{SERVICES}/makers.py",
        "    return not _hands(one, makers).isdisjoint(_hands(other, makers))",
        "    return one in makers.get(other, ())",
        ("tests/test_four_eyes.py::test_one_person_is_not_two_by_way_of_others",),
    ),
    Mutant(
        "four eyes: a link counts from when somebody came in by it",
        f"{SERVICES}/makers.py",
        ".where(INVITE.c.used_at > since)",
        ".where(INVITE.c.created_at > since)",
        ("tests/test_four_eyes.py::test_a_link_counts_from_when_somebody_came_in_by_it",),
    ),
    Mutant(
        "four eyes: a restore that can't know lapses what waits",
        f"{SERVICES}/restoring.py",
        "        report.lapsed = _lapse_unknown(there, report)",
        "        report.lapsed = 0",
        ("tests/test_restoring_requests.py",),
    ),
    Mutant(
        "four eyes: what was decided since the backup comes back",
        f"{SERVICES}/returning.py",
        "LOOKUP, REFUND, REQUEST, EVENT",
        "LOOKUP, REFUND, EVENT",
        ("tests/test_restoring_requests.py",),
    ),
    Mutant(
        "figures: two rebuilds don't mend twice",
        f"{SERVICES}/rebuilding.py",
        "        connection.execute(_ONE_AT_A_TIME)\n",
        "",
        ("tests/test_figures.py::test_two_rebuilds_mend_once",),
    ),
    Mutant(
        "figures: a rebuild adds a difference, and writes no figure",
        f"{SERVICES}/totals.py",
        "{name} = {table}.{name} + EXCLUDED.{name}",
        "{name} = EXCLUDED.{name}",
        ("tests/test_figures.py::test_two_rebuilds_mend_once",),
    ),
    Mutant(
        "figures: deltas that wait are of the rebuild's snapshot",
        f"{SERVICES}/rebuilding.py",
        "FROM total_deltas\n            WHERE {_AROUND",
        "FROM total_deltas\n            WHERE false AND {_AROUND",
        ("tests/test_figures.py::test_deltas_that_wait_are_not_counted_twice",),
    ),
    Mutant(
        "figures: a delta is of the day of its payment",
        f"{SERVICES}/moves/writing.py",
        "        SELECT l.created_at, {_of_n(_DELTA)}",
        "        SELECT now(), {_of_n(_DELTA)}",
        ("tests/test_figures.py::test_hours_go_after_eight_days_and_a_late_move_brings_none_back",),
    ),
    Mutant(
        "figures: hours begin on the clocks of the business",
        f"{SERVICES}/totals.py",
        "HOUR_OF = \"date_trunc('hour', {at}, :zone)\"",
        "HOUR_OF = \"date_trunc('hour', {at}, 'UTC')\"",
        ("tests/test_figures.py::test_a_rebuild_makes_the_days_of_another_zone",),
    ),
    Mutant(
        "figures: days begin on the clocks of the business",
        f"{SERVICES}/totals.py",
        'DAY_OF = "CAST({at} AT TIME ZONE :zone AS date)"',
        "DAY_OF = \"CAST({at} AT TIME ZONE 'UTC' AS date)\"",
        ("tests/test_figures.py::test_a_rebuild_makes_the_days_of_another_zone",),
    ),
    Mutant(
        "status and amounts belong together (CHECK)",
        FIRST,
        "WHEN 'REFUNDED' THEN captured > 0 AND refunded = captured",
        "WHEN 'REFUNDED' THEN true",
        ("tests/test_guards.py",),
    ),
    Mutant(
        "events are append-only (trigger)",
        FIRST,
        "BEFORE UPDATE OR DELETE OR TRUNCATE ON events",
        "BEFORE TRUNCATE ON events",
        ("tests/test_guards.py", "tests/test_audit.py"),
    ),
    Mutant(
        "compare-and-set on the version",
        f"{SERVICES}/moves/writing.py",
        "WHERE payment_id = :payment_id AND version = :old_version FOR UPDATE",
        "WHERE payment_id = :payment_id AND :old_version IS NOT NULL FOR UPDATE",
        ("tests/test_guards.py", "tests/test_moves_race.py"),
    ),
    Mutant(
        "a refund ends by the statement that moves its payment",
        f"{SERVICES}/moves/writing.py",
        "FROM l WHERE refunds.refund_id = :refund_id",
        "FROM l WHERE refunds.refund_id = -:refund_id",
        ("tests/test_refunds.py",),
    ),
    Mutant(
        "a refund that is taken back keeps the time at which it was given",
        f"{SERVICES}/moves/refund_outcomes.py",
        '    return {**ended, "completed_at": refund["completed_at"] or moment}',
        "    return ended",
        ("tests/test_refunds.py",),
    ),
    Mutant(
        "the payment of a trip is its fare's, and not its tip",
        f"{SERVICES}/moves/due.py",
        "PAYMENT.c.live, PAYMENT.c.purpose == purpose, or_(*same)",
        "PAYMENT.c.live, or_(*same)",
        ("tests/test_payments.py",),
    ),
    Mutant(
        "a change that is not written raises",
        f"{SERVICES}/moves/transitions.py",
        "    if not apply_unless_moved(connection, change):",
        "    if apply_unless_moved(connection, change) is None:",
        ("tests/test_guards.py",),
    ),
    Mutant(
        "a change of what the statement does not write is refused",
        f"{SERVICES}/moves/transitions.py",
        "    if unwritten := changes.keys() - writing.WRITTEN:",
        "    if unwritten := changes.keys() - changes.keys():",
        ("tests/test_guards.py",),
    ),
    Mutant(
        "the answer is kept by the statement that makes it true",
        f"{SERVICES}/moves/writing.py",
        "        {KEEP_ANSWER} AND EXISTS (SELECT FROM l)",
        "        {KEEP_ANSWER} AND EXISTS (SELECT FROM l) AND :answer_status < 0",
        ("tests/test_idempotency.py",),
    ),
    Mutant(
        "the first kept answer wins",
        "payment_service/idempotency.py",
        """answer_status = coalesce(answer_status, :answer_status),
        answer_body = coalesce(answer_body, :answer_body), locked_until = NULL""",
        "answer_status = :answer_status, answer_body = :answer_body, locked_until = NULL",
        ("tests/test_idempotency.py",),
    ),
    Mutant(
        "an answer is kept under its own payment's key only",
        "payment_service/idempotency.py",
        "WHERE {_KEY} AND payment_id = :payment_id",
        "WHERE {_KEY} AND (payment_id = :payment_id OR true)",
        ("tests/test_idempotency.py",),
    ),
    Mutant(
        "our reference is the provider's idempotency key",
        "payment_service/providers/sandbox.py",
        'body: dict[str, Any] = {"reference": operation.reference}',
        'import secrets\n    body: dict[str, Any] = {"reference": secrets.token_hex(8)}',
        ("tests/test_conformance.py",),
    ),
    Mutant(
        "a retry looks up before it answers",
        f"{SERVICES}/moves/retries.py",
        "    resolution.resolve(payment_id=payment_id, number=number, caller=caller)",
        "    pass",
        ("tests/test_faults.py",),
    ),
    Mutant(
        "fence: nothing is sent after send_before",
        "payment_service/providers/provider.py",
        "if datetime.now(UTC) >= operation.send_before:",
        "if False:",
        ("tests/test_conformance.py", "tests/test_paused_sender.py"),
    ),
    Mutant(
        "silence is not a no: only what never connected was not sent",
        "payment_service/http/__init__.py",
        "            if not attempt.sent:",
        "            if True:",
        ("tests/test_conformance.py", "tests/test_faults.py"),
    ),
    Mutant(
        "not found is not believed before the settling time",
        f"{SERVICES}/moves/resolution.py",
        "    if now < certain_after:",
        "    if False:",
        ("tests/test_resolution.py",),
    ),
    Mutant(
        "not found is believed only twice",
        f"{SERVICES}/moves/resolution.py",
        "    if first is None or now - first < gap:",
        "    if False:",
        ("tests/test_resolution.py",),
    ),
    Mutant(
        "lease: one worker looks up what is due",
        f"{SERVICES}/moves/resolution.py",
        "    UPDATE transactions SET due_at = :until, leased_until = :until\n",
        "    UPDATE transactions SET due_at = CASE WHEN :until IS NULL THEN due_at ELSE due_at END\n",
        ("tests/test_resolution.py",),
    ),
    Mutant(
        "what was given up is watched for a day",
        f"{SERVICES}/moves/evidence.py",
        '        change = replace(change, transaction={**closed, "due_at": soon, "lookups": 0})',
        "        pass",
        ("tests/test_resolution.py",),
    ),
    Mutant(
        "surplus money moves to a spare share and goes back",
        f"{SERVICES}/moves/evidence.py",
        '    if payment["share"] not in taken and not due.is_paid_beside(connection, payment):',
        "    if True:",
        ("tests/test_evidence.py",),
    ),
    Mutant(
        "evidence: what overturns an answer says so, whatever is under way",
        f"{SERVICES}/moves/outcomes.py",
        "    contradicts = edge.contradicts or transaction",
        "    contradicts = edge.contradicts or False and transaction",
        ("tests/test_evidence.py",),
    ),
    Mutant(
        "late money goes back where history had paid",
        f"{SERVICES}/moves/evidence.py",
        " and not due.is_paid_beside(connection, payment):",
        ":",
        ("tests/test_doors.py",),
    ),
    Mutant(
        "doors: is the trip paid or being paid",
        f"{SERVICES}/moves/due.py",
        """    others = _same(payment)
    if others is None:
        return
""",
        "    return\n",
        ("tests/test_doors.py", "tests/test_every_door.py"),
    ),
    Mutant(
        "doors: a charge looks at history that paid beside the place",
        f"{SERVICES}/charges.py",
        "                AND h.share > 0",
        "                AND h.share > 32766",
        ("tests/test_doors.py",),
    ),
    Mutant(
        "doors: a take-over looks at all that it takes the place of",
        f"{SERVICES}/takeover.py",
        "due.expect_due(connection, both)",
        "due.expect_due(connection, standing)",
        ("tests/test_doors.py",),
    ),
    Mutant(
        "doors: a charge of an order asks for the fare of its payment's trip",
        f"{SERVICES}/takeover.py",
        "    payment = _with_its_trip(payment, command)\n",
        "",
        ("tests/test_doors.py",),
    ),
    Mutant(
        "doors: a hold is captured only if it is due",
        f"{SERVICES}/holds.py",
        """            due.expect_due(connection, payment)
            sent =""",
        "            sent =",
        ("tests/test_doors.py",),
    ),
    Mutant(
        "doors: nobody is charged beside a trip's place (CHECK)",
        "migrations/versions/0002_one_fare_a_trip.py",
        "share = 0 OR status NOT IN ('PROCESSING', 'REQUIRES_ACTION') OR authorized > 0)",
        "share >= 0)",
        ("tests/test_doors.py",),
    ),
    Mutant(
        "doors: a created payment costs what its trip costs",
        f"{SERVICES}/pending.py",
        '    if standing["imported"]:',
        "    if True:",
        ("tests/test_doors.py",),
    ),
    Mutant(
        "doors: an imported payment takes the fare",
        f"{SERVICES}/pending.py",
        "    return said_anew(standing, priced, _PRICE)",
        "    return said_anew(standing, priced, ())",
        ("tests/test_doors.py", "tests/test_every_door.py"),
    ),
    Mutant(
        "doors: the trip is asked",
        f"{SERVICES}/pricing.py",
        "    if trip_id is None or not settings().trip_service_url:",
        "    if True:",
        ("tests/test_doors.py",),
    ),
    Mutant(
        "doors: no fare over MAX_AMOUNT",
        f"{SERVICES}/pricing.py",
        "    if money.to_decimal(amount, currency) <= most:",
        "    if True:",
        ("tests/test_doors.py",),
    ),
    Mutant(
        "doors: no imported amount over MAX_AMOUNT",
        "payment_service/seeding/casting.py",
        "        WHEN {cell}::numeric <= {most:f} THEN",
        "        WHEN {cell} IS NOT NULL THEN",
        ("tests/test_seeding_faults.py",),
    ),
    Mutant(
        "doors: cash is settled by hand only for a trip with a driver",
        f"{SERVICES}/settling.py",
        '    pricing.expect_driver(asked, asked["method"])',
        "    pass",
        ("tests/test_doors.py",),
    ),
    Mutant(
        "a key is freed only if its retry was told nothing",
        "payment_service/idempotency.py",
        "      AND answer_body IS NULL AND locked_until IS NOT NULL",
        "      AND answer_body IS NULL",
        ("tests/test_idempotency.py", "tests/test_paused_sender.py"),
    ),
    Mutant(
        "order: a delivery waits for the payment's earlier ones",
        "payment_service/outbox/relay.py",
        "               earlier.seq IS NULL AS is_head",
        "               true AS is_head",
        ("tests/test_relay.py",),
    ),
    Mutant(
        "a provider's look-ups are its own beat's",
        f"{SERVICES}/moves/resolution.py",
        "OR provider = :provider)",
        "OR provider = :provider OR true)",
        ("tests/test_resolution.py",),
    ),
    Mutant(
        "bulkhead: beyond its places nothing is sent",
        "payment_service/providers/provider.py",
        "        if not self.places.acquire(blocking=False):",
        "        if not self.places.acquire(blocking=False) and False:",
        ("tests/test_conformance.py",),
    ),
    Mutant(
        "restore: it refuses while anybody is connected",
        "scripts/db_restore.py",
        "        while inside := sessions(cursor, name):",
        "        while inside := sessions(cursor, name)[:0]:",
        ("tests/test_backup.py::test_it_refuses_while_anybody_is_connected",),
    ),
    Mutant(
        "restore: what goes wrong gives the database back",
        "scripts/db_restore.py",
        "                rename(cursor, replaced, name)",
        "                pass",
        ("tests/test_backup.py::test_what_goes_wrong_after_the_door_is_closed_gives_all_back",),
    ),
    Mutant(
        "restore: identities go beyond what was given out",
        f"{SERVICES}/identities.py",
        "        last = max(ours + leap, theirs.get(name, 0))",
        "        last = ours",
        ("tests/test_restoring.py::test_no_id_is_given_out_again",),
    ),
    Mutant(
        "restore: identities leap where nobody knows what was given out",
        f"{SERVICES}/identities.py",
        "    leap = 0 if replaced else IDS_A_SECOND * seconds",
        "    leap = 0 * seconds",
        ("tests/test_restoring_elsewhere.py::test_ids_go_beyond_all_that_can_have_been_given_out",),
    ),
    Mutant(
        "restore: payments come back",
        f"{SERVICES}/restoring.py",
        "    report.payments, report.refused = returning.bring_back(there)",
        "    pass",
        ("tests/test_restoring.py::test_what_moved_since_the_backup_comes_back_as_it_was",),
    ),
    Mutant(
        "restore: keys come back",
        f"{SERVICES}/returning_promises.py",
        '            connection.execute(put, {"rows": whole})',
        "            pass",
        ("tests/test_restoring.py::test_what_moved_since_the_backup_comes_back_as_it_was",),
    ),
    Mutant(
        "restore: only a key that surely started nothing is free again",
        f"{SERVICES}/returning_promises.py",
        "      AND t.status = 'FAILED' AND t.failure_code = 'provider_unavailable'\n",
        "",
        ("tests/test_restoring.py::test_a_key_that_somebody_deleted_goes_on_protecting",),
    ),
    Mutant(
        "restore: a key that was freed is free",
        f"{SERVICES}/returning_promises.py",
        '        connection.execute(_FREE, {"rows": json.dumps(gone)})',
        "        pass",
        ("tests/test_restoring.py::test_a_key_that_was_freed_since_is_free",),
    ),
    Mutant(
        "restore: a key whose payment could not come back is not free",
        f"{SERVICES}/returning_promises.py",
        "        connection.execute(_HOLD)",
        "        pass",
        ("tests/test_restoring.py::test_a_payment_that_can_not_come_back_is_not_charged_again",),
    ),
    Mutant(
        "restore: rows are believed where their events fit",
        f"{SERVICES}/returning.py",
        "    if broken := _broken(replaced, ours.payment_id):",
        "    if broken := None:",
        ("tests/test_restoring.py::test_rows_that_their_events_belie_are_not_believed",),
    ),
    Mutant(
        "restore: events go on from those of the backup",
        f"{SERVICES}/returning.py",
        "    if link.scalar_one_or_none() != ours.head:",
        "    if False:",
        ("tests/test_restoring.py::test_what_went_another_way_since_stays_as_in_the_backup",),
    ),
    Mutant(
        "restore: what an import moved aside is moved aside again",
        f"{SERVICES}/returning.py",
        "p.share <> n.share OR ",
        "",
        ("tests/test_restoring.py::test_a_trip_whose_history_came_in_since_is_still_paid",),
    ),
    Mutant(
        "restore: the totals count what comes back",
        f"{SERVICES}/returning.py",
        "                connection.execute(insert(total_deltas), added)",
        "                pass",
        ("tests/test_restoring.py::test_what_moved_since_the_backup_comes_back_as_it_was",),
    ),
    Mutant(
        "restore: what was delivered is not owed",
        f"{SERVICES}/returning_promises.py",
        '            connection.execute(_REAP, {"rows": json.dumps(reaped)})',
        "            pass",
        ("tests/test_restoring.py::test_what_was_delivered_is_not_told_again",),
    ),
    Mutant(
        "restore: what is open is looked up",
        f"{SERVICES}/restoring.py",
        "    report.looked_up = _look_up_all()",
        "    pass",
        ("tests/test_restoring.py::test_what_is_open_is_looked_up_before_anybody_is_let_in",),
    ),
    Mutant(
        "refunds: history is not given back, its provider being nobody here",
        f"{SERVICES}/standing.py",
        "    if rows.is_history(payment):",
        "    if False:",
        ("tests/test_refunds.py",),
    ),
    Mutant(
        "history: what the code before imports is marked",
        "migrations/versions/0004_imported.py",
        "        for statement in MARK:",
        "        for statement in ():",
        ("tests/test_migrations.py",),
    ),
    Mutant(
        "audit: whether a payment was imported is what its seal says",
        f"{SERVICES}/audit_rows.py",
        "    yield from _marked(books, payment)",
        "    yield from ()",
        ("tests/test_audit_columns.py",),
    ),
    Mutant(
        "key: only an answer that is definite is kept",
        f"{SERVICES}/moves/answers.py",
        "    if ending.answer is None or not ending.definite:",
        "    if ending.answer is None:",
        ("tests/test_endings.py", "tests/test_idempotency.py"),
    ),
    Mutant(
        "restore: a provider's request keeps its number",
        f"{SERVICES}/moves/refund_steps.py",
        "number=number or next_number(earlier)",
        "number=next_number(earlier)",
        (
            "tests/test_restoring_elsewhere.py::test_a_gap_in_the_numbers_is_no_number_that_is_given_out_again",
        ),
    ),
    Mutant(
        "no number of a request is given out again",
        f"{SERVICES}/moves/operations.py",
        '    return max((row["number"] for row in earlier), default=0) + 1',
        "    return len(list(earlier)) + 1",
        (
            "tests/test_restoring_elsewhere.py::test_a_gap_in_the_numbers_is_no_number_that_is_given_out_again",
        ),
    ),
    Mutant(
        "audit: the chain covers the snapshot",
        "payment_service/domain/events.py",
        'body.encode() + (snapshot or "").encode())',
        "body.encode())",
        ("tests/test_audit.py",),
    ),
    Mutant(
        "audit: a payment is what its last event says",
        f"{SERVICES}/audit_rows.py",
        '    yield from _differing(_PAYMENT, stands, said, "its last event")\n',
        "",
        ("tests/test_audit_columns.py", "tests/test_audit.py"),
    ),
    Mutant(
        "audit: a request is what the last event about it says",
        f"{SERVICES}/audit_rows.py",
        "            yield from _kept_request(row, said)",
        "            pass",
        ("tests/test_audit_columns.py",),
    ),
    Mutant(
        "audit: a refund is what the events about it say",
        f"{SERVICES}/audit_rows.py",
        '        yield from _differing(_refund(row), row, said, "the last event about it")\n',
        "",
        ("tests/test_audit_columns.py",),
    ),
    Mutant(
        "audit: an imported payment is what its seal says",
        f"{SERVICES}/audit_rows.py",
        '    yield from _differing(_PAYMENT, payment, wanted, "the import")\n',
        "",
        ("tests/test_audit_columns.py",),
    ),
    Mutant(
        "audit: without an event there is a first request, or a seal",
        f"{SERVICES}/audit_rows.py",
        '    if payment["status"] != "PROCESSING" or payment["version"] != 1:',
        "    if False:",
        ("tests/test_audit_columns.py",),
    ),
    Mutant(
        "audit: a request that no event speaks of was added",
        f"{SERVICES}/audit_rows.py",
        "        elif number not in told.mentioned and not (told.bare and _open(row, payment)):",
        "        elif False:",
        ("tests/test_audit_columns.py",),
    ),
    Mutant(
        "audit: what an event speaks of is there",
        f"{SERVICES}/audit_rows.py",
        "    for missing in sorted(told.mentioned - set(there)):",
        "    for missing in ():",
        ("tests/test_audit_columns.py",),
    ),
    Mutant(
        "audit: refunded is the sum of the refunds",
        f"{SERVICES}/audit_rows.py",
        "        if sums[column] != total:",
        "        if False:",
        ("tests/test_audit.py",),
    ),
    Mutant(
        "audit: nothing changes between two events",
        f"{SERVICES}/audit_chain.py",
        "        if name in before and name in said and before[name] != said[name]:",
        "        if False:",
        ("tests/test_audit.py",),
    ),
    Mutant(
        "audit: an event comes from the status of the one before",
        f"{SERVICES}/audit_chain.py",
        '    if start != before["status"] and not second:',
        "    if False:",
        ("tests/test_audit.py",),
    ),
    Mutant(
        "audit: a chunk is read at one moment",
        f"{SERVICES}/audit_reading.py",
        'isolation_level="REPEATABLE READ"',
        'isolation_level="READ COMMITTED"',
        ("tests/test_audit.py",),
    ),
    Mutant(
        "audit: the share that evidence gives is in the event",
        f"{SERVICES}/moves/evidence.py",
        "    return transitions.amended(change, spare)",
        "    return replace(change, payment={**payment, **spare})",
        ("tests/test_evidence.py", "tests/test_audit.py"),
    ),
    Mutant(
        "digest: one worker writes the day's",
        f"{SERVICES}/digests.py",
        "    WHERE digest.written_at IS NULL AND digest.leased_until <= :now",
        "    WHERE :now IS NOT NULL",
        ("tests/test_digests.py",),
    ),
    Mutant(
        "digest: a line that does not fit is named",
        f"{SERVICES}/digests.py",
        "        if fitted and said != found:",
        "        if False:",
        ("tests/test_digests.py",),
    ),
    Mutant(
        "digest: seals of imports are in it",
        f"{SERVICES}/digests.py",
        '        found.append((payment_id, [(at, f"{payment_id}:imported:{seal}\\n".encode())]))',
        "        pass",
        ("tests/test_digests.py",),
    ),
    Mutant(
        "audit log: one writer at a time",
        f"{SERVICES}/audit_log.py",
        '    connection.execute(_LOCK, {"one_writer": ONE_WRITER, "longest": LONGEST_HELD})',
        "    pass",
        ("tests/test_audit_log.py", "tests/test_acts.py"),
    ),
    Mutant(
        "audit log: what the session still has to write is written before the lock is taken",
        f"{SERVICES}/audit_log.py",
        "        db.session.flush()  #",
        "        #",
        ("tests/test_audit_log.py",),
    ),
    Mutant(
        "audit log: acts are append-only (trigger)",
        "migrations/versions/0005_audit_log.py",
        "BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log",
        "BEFORE TRUNCATE ON audit_log",
        ("tests/test_audit_log.py",),
    ),
    Mutant(
        "audit log: a row follows the one before",
        f"{SERVICES}/audit_entries.py",
        "    if audit_id != last + 1:",
        "    if False:",
        ("tests/test_audit_log.py",),
    ),
    Mutant(
        "audit log: the chain covers each column",
        f"{SERVICES}/audit_log.py",
        '    said.pop("chain", None)',
        '    said = {"at": said["at"], "act": said["act"]}',
        ("tests/test_audit_log.py",),
    ),
    Mutant(
        "audit log: no act is from before the one that it follows",
        f"{SERVICES}/audit_log.py",
        "greatest(last.at, clock_timestamp()) AS at",
        "clock_timestamp() AS at",
        ("tests/test_audit_log.py",),
    ),
    Mutant(
        "audit log: the digest covers it",
        f"{SERVICES}/digests.py",
        "            hash_.update(line)",
        "            pass",
        ("tests/test_audit_log.py",),
    ),
    Mutant(
        "audit log: deliveries are skipped with the act, or not",
        f"{SERVICES}/deliveries.py",
        "        _write_down(connection, Act.DELIVERIES_SKIPPED, which, len(skipped), caller, reason)",
        "",
        ("tests/test_acts.py",),
    ),
    Mutant(
        "audit log: many starts at once are one",
        f"{SERVICES}/starting.py",
        "            audit_log.hold(connection)",
        "            pass",
        ("tests/test_acts.py",),
    ),
    Mutant(
        "restore: acts whose chain does not fit don't come back",
        f"{SERVICES}/returning_acts.py",
        "            if wrong := audit_entries.fault(before, row):",
        "            if wrong := None:",
        ("tests/test_returning_acts.py",),
    ),
    Mutant(
        "callers: a token without the scope is refused",
        "payment_service/api/auth.py",
        "    elif rule not in bearer.scopes:",
        "    elif False:",
        ("tests/test_callers.py",),
    ),
    Mutant(
        "callers: a rider's token is good for reading only",
        "payment_service/identity/claims.py",
        "        return Bearer(name, frozenset({Scope.READ}), True,",
        "        return Bearer(name, frozenset(Scope), True,",
        ("tests/test_riders.py",),
    ),
    Mutant(
        "callers: a rider without a number sees nothing",
        "payment_service/api/auth.py",
        "    if bearer.is_rider and bearer.rider_id is None:",
        "    if False:",
        ("tests/test_callers.py",),
    ),
    Mutant(
        "callers: a rider finds its own payments only",
        f"{SERVICES}/reading.py",
        "MAY_SEE = or_(_RIDER.is_(None), of_rider(_RIDER))",
        "MAY_SEE = or_(_RIDER.is_(None), _RIDER.is_not(None))",
        ("tests/test_riders.py",),
    ),
    Mutant(
        "callers: a rider's lists are narrowed",
        f"{SERVICES}/listings.py",
        "    if shape.of_rider:\n        wanted.append(_own(table))",
        "",
        ("tests/test_riders.py",),
    ),
    Mutant(
        "customers: me is for riders only",
        "payment_service/api/auth.py",
        "        if not bearer.is_rider:",
        "        if False:",
        ("tests/test_callers.py",),
    ),
    Mutant(
        "customers: another one's is not there",
        f"{SERVICES}/customers.py",
        "        query = query.where(CUSTOMER.c.user_id == rider)\n",
        "        pass\n",
        ("tests/test_customers.py",),
    ),
    Mutant(
        "customers: what they said of who paid is erased with them",
        f"{SERVICES}/customers.py",
        '        _forget_payers(connection, row["user_id"])\n',
        "",
        ("tests/test_customers.py",),
    ),
    Mutant(
        "customers: none is erased while a payment waits for it",
        f"{SERVICES}/customers.py",
        "        if row.status in UNDECIDED and names_somebody:",
        "        if False:",
        ("tests/test_customers.py",),
    ),
    Mutant(
        "customers: a change that waits for an erasure makes nobody new",
        f"{SERVICES}/customers.py",
        "        if connection.execute(locked.with_for_update()).scalar_one() is None:",
        "        if connection.execute(locked.with_for_update()).scalar_one() is None and False:",
        ("tests/test_customers.py",),
    ),
    Mutant(
        "methods: a stranger charge finds none",
        f"{SERVICES}/payment_methods.py",
        "            CUSTOMER.c.user_id == user,\n",
        "",
        ("tests/test_payment_methods.py",),
    ),
    Mutant(
        "methods: what was taken away is not charged",
        f"{SERVICES}/payment_methods.py",
        "            METHOD.c.status != MethodStatus.DETACHED,\n            CUSTOMER",
        "            CUSTOMER",
        ("tests/test_payment_methods.py",),
    ),
    Mutant(
        "methods: another customer can not move one",
        f"{SERVICES}/payment_methods.py",
        "        METHOD.c.customer_id == customer_id,\n",
        "",
        ("tests/test_payment_methods.py",),
    ),
    Mutant(
        "methods: a token beside one is refused",
        f"{SERVICES}/payment_methods.py",
        "    if command.payment_token is not None:",
        "    if False:",
        ("tests/test_payment_methods.py",),
    ),
    Mutant(
        "methods: an older list writes nothing",
        f"{SERVICES}/comparing_methods.py",
        "        if connection.execute(query).one_or_none() is None:\n            return\n",
        "",
        ("tests/test_payment_methods.py",),
    ),
    Mutant(
        "methods: what was taken away stays so",
        f"{SERVICES}/comparing_methods.py",
        "                METHOD.c.status != MethodStatus.DETACHED,\n            ),",
        "            ),",
        ("tests/test_payment_methods.py",),
    ),
    Mutant(
        "methods: a pending payment of another user is not charged by one",
        f"{SERVICES}/takeover.py",
        "    command = payment_methods.named(command, asked, connection)\n",
        "",
        ("tests/test_payment_methods.py",),
    ),
    Mutant(
        "methods: of an erased customer nothing is left",
        f"{SERVICES}/customers.py",
        "        comparing_methods.forget(connection, customer_id)\n",
        "",
        ("tests/test_payment_methods.py",),
    ),
    Mutant(
        "methods: an erased customer is erased at the provider",
        f"{SERVICES}/customers.py",
        "        provider_customers.erase(connection, customer_id)\n",
        "",
        ("tests/test_payment_methods.py",),
    ),
    Mutant(
        "methods: a customer at a provider has one key",
        f"{SERVICES}/provider_customers.py",
        'return f"CUS-{customer_id}"',
        'return f"CUS-{customer_id}-{datetime.now(UTC)}"',
        ("tests/test_payment_methods.py",),
    ),
    Mutant(
        "methods: a rider reaches its own only",
        "payment_service/api/payment_methods.py",
        "customers.get(customer_id=customer_id, rider=rider())",
        "customers.get(customer_id=customer_id, rider=None)",
        ("tests/test_payment_methods.py",),
    ),
    Mutant(
        "customers: who was erased stays so after a restore",
        f"{SERVICES}/returning_people.py",
        '            connection.execute(putting(table), {"rows": rows})\n',
        "            pass\n",
        ("tests/test_restoring_people.py",),
    ),
    Mutant(
        "keys: rows are locked in the order in which others lock them",
        f"{SERVICES}/keys.py",
        '    order = ", ".join(one.name for one in column.table.primary_key)',
        "    order = key",
        ("tests/test_payment_tokens.py",),
    ),
    Mutant(
        "tokens: one that no key opens charges nobody",
        f"{SERVICES}/takeover.py",
        "tokens.to_charge_with(token)",
        "tokens.readable(token)",
        ("tests/test_payment_tokens.py",),
    ),
    Mutant(
        "tokens: of two in one row neither is believed",
        f"{SERVICES}/moves/tokens.py",
        "        if not self.is_alone:",
        "        if False:",
        ("tests/test_payment_tokens.py",),
    ),
    Mutant(
        "adopted refunds: once each",
        f"{SERVICES}/moves/adopting.py",
        "    if known := _known(earlier, refund):",
        "    if (known := _known(earlier, refund)) and False:",
        ("tests/test_adopting.py", "tests/test_given_back_races.py"),
    ),
    Mutant(
        "adopted refunds: what came to nothing is none",
        f"{SERVICES}/moves/adopting.py",
        "    if refund.result.outcome is Outcome.DECLINED:",
        "    if False:",
        ("tests/test_adopting.py",),
    ),
    Mutant(
        "adopted refunds: tried again where others hold the room",
        f"{SERVICES}/moves/adopting.py",
        "        return Adopted.CROWDED, None",
        "        return Adopted.BEYOND, None",
        ("tests/test_adopting.py", "tests/test_given_back_races.py"),
    ),
    Mutant(
        "disputes: older news moves nothing back",
        f"{SERVICES}/moves/contested.py",
        "        if not still and not goes_on(*before, theirs.kind, theirs.status):",
        "        if False:",
        ("tests/test_disputes.py",),
    ),
    Mutant(
        "disputes: nothing is refunded meanwhile",
        f"{SERVICES}/standing.py",
        '    if payment["disputed"]:',
        "    if False:",
        ("tests/test_disputes.py",),
    ),
    Mutant(
        "disputes: what was lost can't be given back",
        f"{SERVICES}/moves/rows.py",
        '(payment["charged_back"] or 0)',
        "0",
        ("tests/test_disputes.py",),
    ),
    Mutant(
        "disputes: a webhook has the provider asked",
        f"{SERVICES}/moves/contested.py",
        "    due_at = now if soon else _next_look(values, now)",
        "    due_at = _next_look(values, now)",
        ("tests/test_disputes.py",),
    ),
    Mutant(
        "callers: no token bears a name of this house",
        "payment_service/identity/claims.py",
        "    if is_reserved(sub):",
        "    if False:",
        ("tests/test_tokens.py",),
    ),
    Mutant(
        "callers: a role that is not understood is no service's",
        "payment_service/identity/claims.py",
        "    if any(map(_SPEAKS_OF_RIDERS.search, roles - means.of_role.keys())):",
        "    if False:",
        ("tests/test_tokens.py",),
    ),
    Mutant(
        "callers: roles in an odd shape are no service's",
        "payment_service/identity/claims.py",
        '        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):\n            raise _unclear(f"{place} must be a text, or a list of texts")\n        yield from words',
        "        yield from (word for word in words or () if isinstance(word, str))",
        ("tests/test_tokens.py",),
    ),
    Mutant(
        "callers: a rider reads no reasons of refunds",
        f"{SERVICES}/reading.py",
        '    return row if rider is None else {**row, "reason": None}',
        "    return row",
        ("tests/test_riders.py",),
    ),
    Mutant(
        "callers: without tokens only this machine's names",
        "payment_service/api/hosts.py",
        '    elif settings.auth_mode == "off":',
        "    elif False:",
        ("tests/test_browser.py",),
    ),
    Mutant(
        "callers: flask run for others is refused without tokens",
        "payment_service/cli/__init__.py",
        "    if off and host and",
        "    if False and host and",
        ("tests/test_settings.py",),
    ),
    Mutant(
        "callers: an ID token is none",
        "payment_service/identity/tokens.py",
        'if str(claims.get("typ", "")).lower() == "id" or set(_OF_ID_TOKENS) & claims.keys():',
        "if False:",
        ("tests/test_tokens.py",),
    ),
    Mutant(
        "callers: what is remembered goes with its keys",
        "payment_service/identity/tokens.py",
        "        if passed.keys is self.keys.at_hand:",
        "        if True:",
        ("tests/test_tokens.py",),
    ),
    Mutant(
        "callers: a key serves the algorithms of its kind only",
        "payment_service/identity/key_sets.py",
        "        fits = [key for key in self.keys if algorithm in key.algorithms]",
        "        fits = list(self.keys)",
        ("tests/test_tokens.py",),
    ),
    Mutant(
        "callers: a key that is not known is asked for once a minute",
        "payment_service/identity/keys.py",
        "                if self._clock() >= self._unknown_due:",
        "                if True:",
        ("tests/test_keys.py",),
    ),
    Mutant(
        "callers: keys are believed for so long",
        "payment_service/identity/keys.py",
        "        if self.at_hand is not None and now - self._fetched > self._stale:",
        "        if False:",
        ("tests/test_keys.py",),
    ),
    Mutant(
        "callers: an issuer is who its document says",
        "payment_service/identity/discovery.py",
        ' or found.get("issuer") != issuer:',
        ":",
        ("tests/test_keys.py",),
    ),
    Mutant(
        "single sign-on: what comes back was begun in this browser",
        "payment_service/admin/sso.py",
        "    if not hmac.compare_digest(",
        "    if False and not hmac.compare_digest(",
        ("tests/test_sso.py",),
    ),
    Mutant(
        "single sign-on: an ID token is for this log-in",
        "payment_service/identity/sso.py",
        'expected = {"nonce": begun.nonce, "client_id": self._client_id}',
        'expected = {"client_id": self._client_id}',
        ("tests/test_sso.py",),
    ),
    Mutant(
        "single sign-on: once more means now",
        "payment_service/identity/sso.py",
        "        if begun.again and (proved_at is None or proved_at.timestamp() < needed):",
        "        if False:",
        ("tests/test_sso.py",),
    ),
    Mutant(
        "single sign-on: an issuer that hangs keeps few threads",
        "payment_service/identity/sso.py",
        "threading.BoundedSemaphore(AT_ONCE)",
        "threading.BoundedSemaphore(1000)",
        ("tests/test_sso.py",),
    ),
    Mutant(
        "callers: metrics are on their port only",
        "payment_service/api/metrics_guard.py",
        "    if port and (came_by == port) != wanted:",
        "    if False:",
        ("tests/test_metrics_guard.py",),
    ),
    Mutant(
        "watching: health alone is on its port",
        "payment_service/api/metrics_guard.py",
        "came_by == found.health_port and request.endpoint not in HEALTH:",
        "False:",
        ("tests/test_metrics_guard.py::test_health_by_a_port_of_its_own",),
    ),
    Mutant(
        "watching: a worker's metrics ask for the token too",
        "payment_service/cli/worker_port.py",
        '    if not metrics.shows_token(request.headers.get("Authorization", ""), token):',
        "    if False:",
        ("tests/test_worker_port.py::test_a_worker_answers_on_its_port_and_ends_as_before",),
    ),
    Mutant(
        "watching: a worker whose beats do not come is not ready",
        "payment_service/cli/worker_port.py",
        "    ready = reachable and not silent",
        "    ready = reachable",
        ("tests/test_worker_port.py::test_a_beat_of_this_process_that_does_not_come_is_seen",),
    ),
    Mutant(
        "watching: the database is not asked for longer than its time",
        f"{SERVICES}/watching.py",
        """            connection.execute(text(f"SET LOCAL statement_timeout = '{PATIENCE}'"))\n""",
        "",
        ("tests/test_watching.py::test_what_takes_too_long_is_not_told_and_that_is",),
    ),
    Mutant(
        "callers: nobody goes unasked in production",
        "payment_service/config/callers.py",
        '    if found.app_env == "production":',
        "    if False:",
        ("tests/test_settings.py",),
    ),
    Mutant(
        "chain alarm: it stands until somebody says why",
        f"{SERVICES}/chain_alarm.py",
        "            if connection.execute(noted.where(_NOTED)).first() is None:",
        "            if False:",
        (
            "tests/test_panel_audit.py::test_a_broken_chain_is_a_bar_on_every_page_until_an_admin_says_why",
        ),
    ),
    Mutant(
        "chain alarm: what is said of one walk explains no earlier one",
        f"{SERVICES}/chain_alarm.py",
        "connection.execute(_FOUND).all():",
        "connection.execute(_FOUND).all()[:1]:",
        ("tests/test_panel_audit.py::test_what_is_said_of_one_payment_explains_no_other",),
    ),
    Mutant(
        "chain alarm: one payment that fits ends none",
        f"{SERVICES}/chain_alarm.py",
        ".where(ITEM.c.key == EVERYTHING).limit(1)",
        ".limit(1)",
        ("tests/test_panel_audit.py::test_one_payment_that_fits_ends_no_alarm",),
    ),
    Mutant(
        "chain alarm: a walk that finds nothing ends it",
        f"{SERVICES}/chain_alarm.py",
        "func.coalesce(_LAST_WHOLE.correlate(None).scalar_subquery(), 0)",
        "0",
        ("tests/test_panel_audit.py::test_a_walk_over_everything_that_fits_ends_the_alarm",),
    ),
    Mutant(
        "chain alarm: an admin explains it",
        f"{SERVICES}/chain_alarm.py",
        "    if not by.is_admin:",
        "    if False:",
        ("tests/test_panel_audit.py::test_who_explains_nothing",),
    ),
    Mutant(
        "chain alarm: what was explained meanwhile is not explained once more",
        f"{SERVICES}/chain_alarm.py",
        "    if found is None or found.job_id != job_id:",
        "    if False:",
        ("tests/test_panel_audit.py::test_who_explains_nothing",),
    ),
    Mutant(
        "a walk over all chains that is stopped leaves off",
        f"{SERVICES}/audit.py",
        "on_the_way=go_on)",
        "on_the_way=lambda: None)",
        ("tests/test_jobs.py::test_a_walk_over_all_chains_leaves_off_and_begins_anew",),
    ),
    Mutant(
        "a beat that walks for long is not silent",
        f"{SERVICES}/beats.py",
        "LONGEST_WALK if beat in WALKS else LEAST_SILENCE",
        "LEAST_SILENCE",
        ("tests/test_beats.py::test_silent_is_what_did_not_come_for_five_periods_and_a_minute",),
    ),
    Mutant(
        "a walk waits for a worker that is gone, and says so",
        f"{SERVICES}/beats.py",
        '{"jobs", "verifying"} if kind is JobKind.VERIFY else {"jobs"}',
        '{"verifying"} if kind is JobKind.VERIFY else {"jobs"}',
        ("tests/test_panel_jobs.py::test_a_walk_waits_for_a_worker_that_is_gone",),
    ),
    Mutant(
        "what was tried in vain makes way",
        f"{SERVICES}/moves/unattended.py",
        "        _in_vain(failed)[number] = time.monotonic()\n",
        "",
        ("tests/test_holds.py",),
    ),
    Mutant(
        "what made way is tried again",
        f"{SERVICES}/moves/unattended.py",
        "        if now - at >= MAKES_WAY_SECONDS:",
        "        if False:",
        ("tests/test_holds.py",),
    ),
    Mutant(
        "paid twice: what can't be given back keeps no other waiting",
        f"{SERVICES}/giving_back.py",
        "            TRANSACTION.c.payment_id.not_in(unattended.making_way(_FAILED)),\n",
        "",
        ("tests/test_pages.py::test_what_can_not_be_given_back_makes_way",),
    ),
    Mutant(
        "paid twice: what was given back is not given once more",
        f"{SERVICES}/giving_back.py",
        '    if any(row["status"] == TransactionStatus.SUCCESS for row in asked):',
        "    if False:",
        ("tests/test_pages.py",),
    ),
    Mutant(
        "paid twice: a refund that failed is asked for anew after a pause",
        f"{SERVICES}/giving_back.py",
        "        if again > now:",
        "        if False:",
        ("tests/test_pages.py",),
    ),
    Mutant(
        "paid twice: whoever comes second under the lock finds it seen to",
        f"{SERVICES}/giving_back.py",
        '    if charge["due_at"] is None or charge["due_at"] > now:',
        "    if False:",
        ("tests/test_pages.py",),
    ),
    Mutant(
        "four eyes: a request that still has its room waits on",
        f"{SERVICES}/moves/refund_holds.py",
        """given["amount"] <= payment["captured"]:
        return payment""",
        """given["amount"] <= payment["captured"]:
        pass""",
        ("tests/test_four_eyes_room.py::test_one_that_still_has_its_room_waits_on",),
    ),
    Mutant(
        "four eyes: only a refund that had failed needs its room again",
        f"{SERVICES}/moves/refund_holds.py",
        '    if given["status"] != TransactionStatus.FAILED or paid_twice.is_beside(given):',
        "    if paid_twice.is_beside(given):",
        ("tests/test_four_eyes_room.py", "tests/test_four_eyes.py"),
    ),
    Mutant(
        "four eyes: money that came a second time takes no room",
        f"{SERVICES}/moves/refund_holds.py",
        '    if given["status"] != TransactionStatus.FAILED or paid_twice.is_beside(given):',
        '    if given["status"] != TransactionStatus.FAILED:',
        ("tests/test_four_eyes_room.py",),
    ),
    Mutant(
        "panel: the back button draws the form that was sent",
        "payment_service/admin/refunding.py",
        "drawn=confirming.drawn_before(request.args))",
        "drawn=None)",
        ("tests/test_panel_acts.py::test_the_form_that_the_back_button_draws_again_is_done_once",),
    ),
    Mutant(
        "who acts on operators has just shown who it is",
        f"{SERVICES}/operators.py",
        "    if by.operator_id is not None and not sessions.stepped_up(by):",
        "    if False:",
        (
            "tests/test_operator_acts.py::test_only_who_has_just_shown_who_he_is_does_anything_to_operators",
        ),
    ),
    Mutant(
        "a code of the second factor works once",
        f"{SERVICES}/second_factors.py",
        "_at(operator_id).where(OPERATOR.c.totp_last_step < step).values(",
        "_at(operator_id).values(",
        ("tests/test_second_factors.py",),
    ),
    Mutant(
        "a recovery code works once",
        f"{SERVICES}/second_factors.py",
        ".values(recovery_hashes=func.array_remove(OPERATOR.c.recovery_hashes, kept))",
        ".values(recovery_hashes=OPERATOR.c.recovery_hashes)",
        ("tests/test_second_factors.py",),
    ),
    Mutant(
        "another second factor is set up after stepping up only",
        f"{SERVICES}/second_factors.py",
        "    if not sessions.stepped_up(now):",
        "    if False:",
        ("tests/test_second_factors.py",),
    ),
    Mutant(
        "half a log-in sets up no second factor",
        f"{SERVICES}/second_factors.py",
        "    if now.reach == Reach.CODE:",
        "    if False:",
        ("tests/test_second_factors.py",),
    ),
    Mutant(
        "an invite works once",
        f"{SERVICES}/invites.py",
        "        INVITE.c.used_at.is_(None),\n",
        "",
        ("tests/test_invites.py",),
    ),
    Mutant(
        "another invite ends the one before",
        f"{SERVICES}/invites.py",
        "        operators.end_links(operator_id)\n",
        "",
        ("tests/test_invites.py",),
    ),
    Mutant(
        "the last admin stays",
        f"{SERVICES}/operators.py",
        "    if db.session.execute(others).first() is None:",
        "    if False:",
        ("tests/test_operator_acts.py",),
    ),
    Mutant(
        "of admins that go at once one stays",
        f"{SERVICES}/operators.py",
        "    hold_all()\n    if who.isdecimal()",
        "    if who.isdecimal()",
        ("tests/test_operator_acts.py",),
    ),
    Mutant(
        "a session that was ended opens nothing",
        f"{SERVICES}/sessions.py",
        "s.token_hash = :token_hash AND s.ended_at IS NULL AND o.active",
        "s.token_hash = :token_hash AND o.active",
        ("tests/test_operator_sessions.py",),
    ),
    Mutant(
        "a disabled operator's session opens nothing",
        f"{SERVICES}/sessions.py",
        "s.token_hash = :token_hash AND s.ended_at IS NULL AND o.active",
        "s.token_hash = :token_hash AND s.ended_at IS NULL",
        ("tests/test_operator_sessions.py",),
    ),
    Mutant(
        "a session that nobody uses ends",
        f"{SERVICES}/sessions.py",
        "      AND s.seen_at > now() - make_interval(secs => :idle)\n",
        "",
        ("tests/test_operator_sessions.py",),
    ),
    Mutant(
        "a session ends after its longest time",
        f"{SERVICES}/sessions.py",
        "      AND s.created_at > now() - make_interval(secs => :longest)\n",
        "",
        ("tests/test_operator_sessions.py",),
    ),
    Mutant(
        "half a log-in lives a quarter of an hour",
        f"{SERVICES}/sessions.py",
        "    if found.reach != Reach.ALL and row",
        "    if False and row",
        ("tests/test_log_ins.py",),
    ),
    Mutant(
        "a session is replaced once",
        f"{SERVICES}/sessions.py",
        "    if not _end(_open(now.session_id), Ended.REPLACED):",
        "    if not _end(_open(now.session_id), Ended.REPLACED) and False:",
        ("tests/test_operator_sessions.py",),
    ),
    Mutant(
        "who logs in while he is disabled stays out",
        f"{SERVICES}/sessions.py",
        "    if not row.active:",
        "    if False:",
        ("tests/test_operator_sessions.py",),
    ),
    Mutant(
        "tries are counted one after the other",
        f"{SERVICES}/log_in_tries.py",
        """        db.session.execute(text("SELECT pg_advisory_xact_lock(:one)"), {"one": ONE_AT_A_TIME})\n""",
        "",
        ("tests/test_log_ins.py",),
    ),
    Mutant(
        "a right password forgives no wrong code",
        f"{SERVICES}/log_ins.py",
        "            log_in_tries.forget(taken)  # what was wrong before counts until the code is right too",
        "            log_in_tries.forgive(taken)",
        ("tests/test_log_ins.py",),
    ),
    Mutant(
        "a name that nobody has makes as much work",
        "payment_service/identity/passwords.py",
        "_in_turn(lambda: HASHER.verify(kept or _nobodys(), _bytes(password)))",
        "kept is not None and _in_turn(lambda: HASHER.verify(kept, _bytes(password)))",
        ("tests/test_log_ins.py",),
    ),
    Mutant(
        "a state of single sign-on works once",
        f"{SERVICES}/sso.py",
        "        why = None if _is_new(state) else",
        "        why = None if _is_new(state) or True else",
        ("tests/test_sso_operators.py",),
    ),
    Mutant(
        "pages: no act for another site",
        "payment_service/admin/admission.py",
        'not in ("same-origin", "none")\n',
        'not in ("same-origin", "none", "cross-site", "same-site")\n',
        ("tests/test_admin_pages.py::test_every_post_from_another_site_is_refused",),
    ),
    Mutant(
        "pages: no act without a form's token",
        "payment_service/admin/admission.py",
        "        _csrf.protect()\n",
        "        pass\n",
        ("tests/test_admin_pages.py::test_every_post_without_its_token_is_refused",),
    ),
    Mutant(
        "pages: what makes forms good is of one session",
        "payment_service/admin/admission.py",
        "    cookies.expect_own_forms()\n",
        "",
        ("tests/test_admin_pages.py::test_what_makes_forms_good_is_of_one_browser",),
    ),
    Mutant(
        "pages: a role sees what is for it",
        "payment_service/admin/admission.py",
        "not isinstance(rule, Role) or not is_at_least(now.role, rule)",
        "not isinstance(rule, Role)",
        ("tests/test_admin_pages.py::test_every_page_and_every_role",),
    ),
    Mutant(
        "pages: half a log-in reaches its second factor only",
        "payment_service/admin/admission.py",
        "    if now.reach is not Reach.ALL:\n",
        "    if False:\n",
        ("tests/test_admin_pages.py::test_half_a_log_in_reaches_its_second_factor_only",),
    ),
    Mutant(
        "pages: a log-in leads to pages of ours only",
        "payment_service/admin/redirects.py",
        "sent if _OURS.fullmatch(sent) else",
        "sent if sent else",
        ("tests/test_admin_pages.py::test_a_log_in_leads_to_pages_of_ours_only",),
    ),
    Mutant(
        "pages: nothing stays in a browser",
        "payment_service/api/browser.py",
        'headers["Cache-Control"] = "no-store"',
        "pass",
        ("tests/test_admin_pages.py::test_every_page_and_every_role",),
    ),
    Mutant(
        "webhooks: another provider's payment",
        f"{SERVICES}/notices.py",
        '    if transaction["provider"] != provider.name:',
        "    if False:",
        ("tests/test_webhooks.py::test_a_webhook_about_another_providers_payment_moves_nothing",),
    ),
    Mutant(
        "webhooks: another amount",
        f"{SERVICES}/notices.py",
        '    if notice.amount not in (None, transaction["amount"]):',
        "    if False:",
        ("tests/test_webhooks.py::test_what_does_not_fit_moves_nothing_and_has_it_looked_up",),
    ),
    Mutant(
        "webhooks: another currency",
        f"{SERVICES}/notices.py",
        '    if notice.currency not in (None, transaction["currency"]):',
        "    if False:",
        ("tests/test_webhooks.py::test_what_does_not_fit_moves_nothing_and_has_it_looked_up",),
    ),
    Mutant(
        "webhooks: another merchant",
        f"{SERVICES}/notices.py",
        "    if notice.mismatch is not None:\n        raise _Mismatch",
        "    if False:\n        raise _Mismatch",
        ("tests/test_webhooks.py::test_what_does_not_fit_moves_nothing_and_has_it_looked_up",),
    ),
    Mutant(
        "webhooks: another id",
        f"{SERVICES}/notices.py",
        "    if _has_another_id(notice, transaction) and not page:",
        "    if False:",
        ("tests/test_webhooks.py::test_another_id_for_the_request_does_not_fit",),
    ),
    Mutant(
        "webhooks: more approved than asked for",
        f"{SERVICES}/notices.py",
        "        result = believable(notice.result, operation_of(payment, transaction, earlier))",
        "        result = notice.result",
        ("tests/test_webhooks.py::test_what_does_not_fit_moves_nothing_and_has_it_looked_up",),
    ),
    Mutant(
        "webhooks: what is unsigned decides nothing",
        f"{SERVICES}/notices.py",
        "    if trust is Trust.UNSIGNED:",
        "    if False:",
        ("tests/test_webhooks.py::test_what_is_not_signed_only_has_it_looked_up",),
    ),
    Mutant(
        "webhooks: a refund that ended is overturned by look-ups only",
        f"{SERVICES}/notices.py",
        " or _overturns_refund(notice.result, transaction):",
        ":",
        ("tests/test_webhooks.py::test_what_would_overturn_a_refund_is_looked_up",),
    ),
    Mutant(
        "webhooks: unsigned ones about nothing of ours leave no row",
        f"{SERVICES}/webhook_keeping.py",
        "        if request is None or not notice.taken or _is_full(connection, request):",
        "        if not notice.taken:",
        ("tests/test_webhooks.py::test_unsigned_ones_about_nothing_of_ours_fill_nothing",),
    ),
    Mutant(
        "webhooks: refused ones are written over",
        f"{SERVICES}/webhook_refusals.py",
        "SELECT number % :keep, number,",
        "SELECT number + 0 * :keep, number,",
        ("tests/test_webhooks.py::test_no_number_of_refused_ones_makes_a_table_grow",),
    ),
    Mutant(
        "webhooks: nobody waits for the disk for a refused one",
        f"{SERVICES}/webhook_refusals.py",
        "set_config('synchronous_commit', 'off', true)",
        "set_config('synchronous_commit', 'on', true)",
        ("tests/test_webhooks.py::test_nobody_waits_for_the_disk_for_a_refused_one",),
    ),
    Mutant(
        "rate limit: who has room is asked about each time",
        "payment_service/ratelimit/full.py",
        "if standing.taken or len(limit.windows) > 1:",
        "if len(limit.windows) > 1:",
        ("tests/test_rate_limit.py", "tests/test_webhooks.py"),
    ),
    Mutant(
        "rate limit: where another window counts what one refuses it is asked each time",
        "payment_service/ratelimit/full.py",
        "if standing.taken or len(limit.windows) > 1:",
        "if standing.taken:",
        ("tests/test_rate_limit.py",),
    ),
    Mutant(
        "heard: a plain yes keeps no body",
        f"{SERVICES}/moves/heard.py",
        "    if heard.body and (result is None or result.outcome is not Outcome.APPROVED):",
        "    if heard.body:",
        ("tests/test_heard.py",),
    ),
    Mutant(
        "heard: an outcome without a key is an outcome",
        f"{SERVICES}/moves/heard.py",
        "    except NoKey:\n        return None",
        "    except ZeroDivisionError:\n        return None",
        ("tests/test_heard.py",),
    ),
    Mutant(
        "heard: what is too long is not masked member by member",
        f"{SERVICES}/moves/heard.py",
        "    if len(body) > LARGEST:",
        "    if False:",
        ("tests/test_heard.py",),
    ),
    Mutant(
        "heard: an answer is cut",
        f"{SERVICES}/moves/heard.py",
        "    if len(kept) <= MOST:",
        "    if True:",
        ("tests/test_heard.py",),
    ),
    Mutant(
        "heard: a later outcome leaves what was heard",
        f"{SERVICES}/moves/writing.py",
        'f"{name} = COALESCE(:t_{name}, {name})" for name in _HEARD',
        'f"{name} = :t_{name}" for name in _HEARD',
        ("tests/test_heard.py",),
    ),
    Mutant(
        "heard: an answer to an earlier call is none to this one",
        "payment_service/http/__init__.py",
        "    hearing.calls()\n",
        "    pass\n",
        ("tests/test_heard.py",),
    ),
    Mutant(
        "heard: an unknown outcome keeps what was heard",
        f"{SERVICES}/moves/steps.py",
        "            .values(due_at=again)\n        )\n        heard.write(connection, move.transaction, kept)\n",
        "            .values(due_at=again)\n        )\n",
        ("tests/test_heard.py",),
    ),
    Mutant(
        "heard: who was slower keeps what was heard",
        f"{SERVICES}/moves/steps.py",
        "        heard.write(connection, move.transaction, kept)\n        return answers.tell_locked",
        "        return answers.tell_locked",
        ("tests/test_heard.py",),
    ),
    Mutant(
        "heard: what was surely not done keeps what was heard",
        f"{SERVICES}/moves/steps.py",
        "            heard.write(connection, move.transaction, kept)\n            freed =",
        "            freed =",
        ("tests/test_heard.py",),
    ),
    Mutant(
        "look-ups: one goes on without its note",
        f"{SERVICES}/moves/lookups.py",
        "    except Exception:",
        "    except ZeroDivisionError:",
        ("tests/test_heard.py",),
    ),
    Mutant(
        "look-ups: who was not asked is not noted",
        f"{SERVICES}/moves/lookups.py",
        "    if not heard.called:",
        "    if False:",
        ("tests/test_heard.py",),
    ),
    Mutant(
        "look-ups: two at once are two",
        f"{SERVICES}/moves/lookups.py",
        "TRIES = 5",
        "TRIES = 1",
        ("tests/test_heard.py",),
    ),
    Mutant(
        "answers: a page stays small",
        f"{SERVICES}/provider_answers.py",
        "words if len(words) <= left else LATER",
        "words",
        ("tests/test_heard.py",),
    ),
    Mutant(
        "answers: only the old ones are reaped",
        f"{SERVICES}/provider_answers.py",
        "WHERE answer IS NOT NULL AND created_at < :over",
        "WHERE answer IS NOT NULL",
        ("tests/test_heard.py",),
    ),
    Mutant(
        "answers: a page of HTML is no form",
        f"{PROVIDERS}/masked_bodies.py",
        "    if form and all(_FIELD.fullmatch(name) for name, _ in form):",
        "    if form:",
        ("tests/test_heard.py",),
    ),
    Mutant(
        "webhooks: one look-up at a time",
        f"{SERVICES}/moves/resolution.py",
        "WHERE due_at <= :now AND (leased_until IS NULL OR leased_until <= :now)",
        "WHERE due_at <= :now",
        ("tests/test_webhooks.py::test_a_flood_of_unsigned_ones_makes_one_look_up_at_a_time",),
    ),
    Mutant(
        "webhooks: what another had hastened is looked up all the same",
        f"{SERVICES}/notices.py",
        "    if _is_due(transaction):",
        "    if False:",
        ("tests/test_webhooks.py",),
    ),
    Mutant(
        "a look-up that ends a request leaves what was hastened meanwhile",
        f"{SERVICES}/moves/outcomes.py",
        "return due if under_way and due is not None and due <= moment else None",
        "return None",
        ("tests/test_webhooks.py",),
    ),
    Mutant(
        "webhooks: one row for each event",
        "migrations/versions/0008_webhooks.py",
        '        sa.UniqueConstraint("provider", "event_key", name=op.f("uq_webhooks_provider_event_key")),\n',
        "",
        ("tests/test_webhooks.py::test_fifty_at_once_are_one",),
    ),
    Mutant(
        "webhooks: what is signed is not counted against its address",
        "payment_service/api/limits.py",
        "        g.uncounted = True\n",
        "        limits and limits.count()\n        limits and _expect_room()\n",
        ("tests/test_webhooks.py::test_what_is_signed_is_not_counted_against_its_address",),
    ),
    Mutant(
        "Swish: what was there before is looked up, and no decline",
        SWISH,
        "        if _ALREADY_THERE in refused:",
        "        if False:",
        ("tests/test_swish.py",),
    ),
    Mutant(
        "Swish: what is there is never told as not sent",
        SWISH,
        '        except NotSent as error:\n            raise OutcomeUnknown(f"it is there, and',
        '        except ZeroDivisionError as error:\n            raise OutcomeUnknown(f"it is there, and',
        ("tests/test_swish.py",),
    ),
    Mutant(
        "Swish: a phone that rings is no page",
        SWISH,
        "        return operation.type is TransactionType.CHARGE and _phone(operation) is None",
        "        return operation.type is TransactionType.CHARGE",
        ("tests/test_swish.py",),
    ),
    Mutant(
        "Swish: a token that got lost is waited for by nobody",
        SWISH,
        '        if self.page(operation) and operation.known_as is None and not found.get("payerAlias"):',
        "        if False:",
        ("tests/test_swish.py",),
    ),
    Mutant(
        "Swish: another amount is no answer",
        SWISH,
        '        if swish_objects.minor(found["amount"], operation.currency) != (asked or operation.amount):',
        "        if False:",
        ("tests/test_swish.py",),
    ),
    Mutant(
        "Swish: another merchant is no answer",
        SWISH,
        '        if found["payerAlias" if refund else "payeeAlias"] != self._merchant.alias:',
        "        if False:",
        ("tests/test_swish.py",),
    ),
    Mutant(
        "Swish: another request is no answer",
        SWISH,
        '        if found["id"] != _uuid(operation) or named not in (None, plain):',
        "        if False:",
        ("tests/test_swish.py",),
    ),
    Mutant(
        "Swish: what it does not know itself is no decline",
        "payment_service/providers/swish_objects.py",
        "    if code == NOT_KNOWN_THERE:",
        "    if False:",
        ("tests/test_swish.py",),
    ),
    Mutant(
        "Swish: a callback shows what its request was made with",
        "payment_service/providers/swish_callbacks.py",
        "    if not hmac.compare_digest(shown.encode(), identifier(uuid, secret).encode()):",
        "    if False:",
        ("tests/test_swish.py",),
    ),
    Mutant(
        "Swish: a callback decides nothing",
        "payment_service/providers/swish_callbacks.py",
        "    return Notices(Trust.UNSIGNED, (notice,))",
        "    return Notices(Trust.SIGNED, (notice,))",
        ("tests/test_swish.py",),
    ),
    Mutant(
        "the sandbox's Swish has the paths that others ask",
        f"{SWISH_THERE}/routes.py",
        '@swish.put("/v2/refunds/<uuid>")',
        '@swish.put("/v1/refunds/<uuid>")',
        ("tests/strangers/test_swish.py",),
    ),
    Mutant(
        "the sandbox's Swish has the names that others read",
        f"{SWISH_THERE}/routes.py",
        '            answer.headers["PaymentRequestToken"] = row["token"]',
        '            answer.headers["Payment-Request-Token"] = row["token"]',
        ("tests/strangers/test_swish.py",),
    ),
    Mutant(
        "the sandbox's Swish takes the names that others write",
        f"{SWISH_THERE}/checks.py",
        '    ("RF01", _text("originalPaymentReference", "[0-9A-F]{32}", optional=False)),',
        '    ("RF01", _text("originalReference", "[0-9A-F]{32}", optional=False)),',
        ("tests/strangers/test_swish.py",),
    ),
    *_of_stripe(),
    Mutant(
        "payers: a link is one that we made",
        f"{SERVICES}/moves/links.py",
        "    return bool(settings().secret_key) and hmac.compare_digest(",
        "    return bool(settings().secret_key) or hmac.compare_digest(",
        ("tests/test_pay_pages.py::test_a_link_is_made_of_the_secret_key",),
    ),
    Mutant(
        "payers: a payer is led back to origins that we know",
        f"{SERVICES}/payers.py",
        "    if not _is_led_to(said.return_url):",
        "    if False:",
        ("tests/test_pay_pages.py::test_what_can_t_be_said_of_a_payer",),
    ),
    Mutant(
        "payers: an origin that went away leads nobody",
        f"{SERVICES}/payers.py",
        "    if said.return_url is None or not _is_led_to(said.return_url):",
        "    if said.return_url is None:",
        ("tests/test_pay_pages.py::test_a_return_url_of_an_origin_that_went_away_leads_nobody",),
    ),
    Mutant(
        "payers: nobody is sent on once the wait is over",
        f"{SERVICES}/payers.py",
        " and row.newest in ASKS and not over",
        "",
        ("tests/test_pay_pages.py::test_a_wait_that_is_over_sends_nobody_on",),
    ),
    Mutant(
        "payers: a page that anybody may ask for has a payment looked up now and then",
        f"{SERVICES}/payers.py",
        "payment_id == payment_id, lately.is_not(True))",
        "payment_id == payment_id)",
        ("tests/test_pay_pages.py::test_no_page_has_a_payment_looked_up_all_the_time",),
    ),
    Mutant(
        "payers: a payment's row has nothing secret of the page",
        f"{SERVICES}/moves/pages.py",
        "    return {name: page[name] for name in _PUBLIC if name in page}",
        "    return dict(page)",
        ("tests/test_pay_pages.py::test_nothing_of_the_payer_is_kept_or_told_in_clear",),
    ),
    Mutant(
        "payers: what comes back is in no address",
        "payment_service/api/pay.py",
        'and list(request.args) == ["look"]',
        "",
        ("tests/test_pay_pages.py::test_what_the_way_back_carries_is_not_believed",),
    ),
    Mutant(
        "second window: what only a look-up saw is not forgotten",
        f"{SERVICES}/moves/resolution.py",
        "    if not moved and asks:",
        "    if False:",
        ("tests/test_fiuu_service.py::test_a_payment_that_only_a_look_up_saw_is_not_forgotten",),
    ),
    Mutant(
        "second window: what has paid is looked up by itself, though no news comes",
        f"{SERVICES}/moves/evidence.py",
        "    elif again := next_look_at_paid(closed):",
        "    elif again := None:",
        (_NEWS_LOST,),
    ),
    Mutant(
        "second window: what has paid is looked up a day later, too",
        f"{SERVICES}/moves/resolution.py",
        "        due = evidence.next_look_at_paid(transaction)",
        "        due = None",
        (_NEWS_LOST,),
    ),
    Mutant(
        "second window: by itself only where a page can be paid twice",
        f"{SERVICES}/moves/evidence.py",
        "    if provider is None or not provider.pages_can_be_paid_twice or ended is None:",
        "    if ended is None:",
        ("tests/test_webhook_lies.py::test_the_true_one_moves_it_and_nothing_else",),
    ),
    Mutant(
        "second window: what has paid is looked up for its payer",
        f"{SERVICES}/payers.py",
        '    is_watched = request["due_at"] is not None',
        '    is_watched = request["status"] != "SUCCESS"',
        (_SECOND_WINDOW,),
    ),
    Mutant(
        "second window: for a day",
        f"{SERVICES}/moves/evidence.py",
        " if at > now), default=None)",
        "), default=None)",
        (
            _NEWS_LOST,
            "tests/test_fiuu_service.py::test_a_payment_of_long_ago_is_looked_up_for_no_payer",
        ),
    ),
    Mutant(
        "second window: a silent provider is asked again",
        f"{SERVICES}/moves/resolution.py",
        "not in OPEN and heard and over:",
        "not in OPEN and over:",
        (_SECOND_WINDOW,),
    ),
    Mutant(
        "look-ups: news of what ended long ago is looked up until the provider was heard",
        f"{SERVICES}/moves/resolution.py",
        "not in OPEN and heard and over:",
        "not in OPEN and (heard or now - given_up > evidence.WATCH) and over:",
        (_LONG_AGO,),
    ),
    Mutant(
        "look-ups: a refund that is shown again is not missing",
        f"{SERVICES}/moves/resolution.py",
        '"not_found_at": None if found else ',
        '"not_found_at": ',
        (f"{_DINARS}::test_a_refund_that_the_bank_shows_again_is_no_person_s_to_end",),
    ),
    Mutant(
        "refunds: one that a person gave up is looked up all the same",
        f"{SERVICES}/refunds.py",
        '        if moved and not approved and ended["provider_reference"]:',
        "        if False:",
        (f"{_DINARS}::test_a_refund_that_a_person_gave_up_is_looked_up_all_the_same",),
    ),
    Mutant(
        "paid twice: written down with the first payment or not at all",
        f"{SERVICES}/moves/resolution.py",
        "verdict=verdict, **about) is not None\n",
        "verdict=verdict, **about) is not None\n    with db.engine.begin() as connection:\n",
        (_WHOLE,),
    ),
    Mutant(
        "second window: another payment of one page is no alarm",
        f"{SERVICES}/notices.py",
        "    if _has_another_id(notice, transaction) and not page:",
        "    if _has_another_id(notice, transaction):",
        ("tests/test_fiuu_service.py::test_what_is_paid_twice_goes_back_once",),
    ),
    Mutant(
        "webhooks: of a hold Fiuu's notification is not believed",
        f"{SERVICES}/notices.py",
        "    if notice.result is None or held or",
        "    if notice.result is None or",
        ("tests/test_fiuu_service.py::test_of_a_hold_a_notification_is_not_believed",),
    ),
    Mutant(
        "webhooks: one that is quicker takes no page away",
        f"{SERVICES}/moves/steps.py",
        "            unsure.keep_locked(connection, **about)",
        "            pass",
        ("tests/test_webhook_races.py::test_one_that_comes_before_the_page_takes_no_page_away",),
    ),
    Mutant(
        "payers: the payment is locked before its payer",
        f"{SERVICES}/payers.py",
        "        rows.read_payment(connection, payment_id, lock=True)",
        "",
        ("tests/test_payer_locks.py",),
    ),
    Mutant(
        "swish: a page that says 404 is no answer of Swish's",
        SWISH,
        "            if swish_objects.is_page(answer):",
        "            if False:",
        ("tests/test_swish.py::test_a_404_that_is_no_answer_of_swish_s_says_nothing",),
    ),
    Mutant(
        "fib: a refund that the bank took is no refund that it never got",
        f"{PROVIDERS}/fib.py",
        "        return Result(Outcome.PENDING, _refund_of(operation))\n\n    def _open",
        "        return Result(Outcome.PENDING)\n\n    def _open",
        (_TAKEN,),
    ),
    Mutant(
        "fib: a person ends no refund that the bank may give",
        f"{SERVICES}/refunds.py",
        '    lost = transaction["provider_reference"] and transaction["not_found_at"]',
        '    lost = transaction["provider_reference"]',
        (_TAKEN,),
    ),
    Mutant(
        "webhooks: an unsigned one finds no request to another provider",
        f"{SERVICES}/notices.py",
        "    if trust is not Trust.SIGNED:",
        "    if False:",
        ("tests/test_webhook_lies.py",),
    ),
    Mutant(
        "webhooks: news of a refund that names its charge has the refund looked up",
        f"{SERVICES}/notices.py",
        "        asked = [row for row in transactions if _is_watched_at(row, provider=provider)]",
        "        asked = []",
        (f"{_DINARS}::test_the_bank_s_callback_of_a_refund_has_the_refund_looked_up",),
    ),
    Mutant(
        "killed: what was kept of a webhook is the worker's",
        f"{SERVICES}/webhook_keeping.py",
        '        "due_at": first_try,',
        '        "due_at": None,',
        ("tests/test_killed_on_the_way.py::test_between_a_webhooks_two_transactions",),
    ),
    Mutant(
        "killed: a page that nobody can have was never received",
        f"{PROVIDERS}/provider.py",
        "return operation.known_as is None and self.page(operation)",
        "return False",
        ("tests/test_killed_on_the_way.py::test_between_page_and_finish",),
    ),
    Mutant(
        "look-ups: nothing is sent once more, though its key replays it",
        f"{PROVIDERS}/stripe/__init__.py",
        "            found = self._find_intent(operation)\n",
        "            found = self._find_intent(operation)\n"
        "            found = found and self._sent(operation)\n",
        ("tests/test_conformance.py::test_each_verb_is_done_replayed_and_looked_up",),
    ),
    Mutant(
        "paid too late: what is surplus is given back by the worker",
        f"{SERVICES}/expiry.py",
        "and_(or_(voidable, surplus, waiting), not_(voiding))",
        "and_(or_(voidable, waiting), not_(voiding))",
        ("tests/test_paid_too_late.py",),
    ),
)


def main() -> int:
    """Runs the mutants whose names hold one of those that are given, all without; 1 if one
    survives. With --seconds none is begun after that time, and the seed decides which come first."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    args = parser.parse_args()
    chosen = [m for m in MUTANTS if not args.names or any(name in m.name for name in args.names)]
    if args.seconds < math.inf:
        print(f"seed {args.seed}: what {args.seconds:.0f} s take of {len(chosen)}", flush=True)
        random.Random(args.seed).shuffle(chosen)
    until = time.monotonic() + args.seconds
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda mutant: _report(mutant, until), chosen))
    caught = [one for one in found if one is not None]
    print(f"{sum(caught)} of {len(caught)} mutants caught")
    return 0 if caught and all(caught) else 1


def _report(mutant: Mutant, until: float) -> bool | None:
    """Whether a test caught it; None if time was up before."""
    started = time.monotonic()
    if started > until:
        return None
    by = _caught_by(mutant)
    seconds = time.monotonic() - started
    verdict = f"caught by {by}" if by else "SURVIVED"
    print(f"{mutant.name}: {verdict} ({seconds:.0f} s)", flush=True)
    return by is not None


def _caught_by(mutant: Mutant) -> str | None:
    """The first test that fails on the mutant; None if all pass."""
    for tree in _copy():
        _mutate(tree / mutant.path, mutant)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
        environ = {
            **os.environ,
            "PYTHONPATH": str(tree),
            "HYPOTHESIS_STORAGE_DIRECTORY": str(tree),
            "PYTEST_ADDOPTS": "-rfE",  # the names of what failed are read from what it says
        }
        done = run_in(tree, [*command, *mutant.tests], environ, SECONDS)
        if done is None:
            return f"a test that did not end within {SECONDS:.0f} s"
        if done.returncode == 0:
            return None
        # Not an ERROR: a mutant that breaks what the tests stand on was noticed by none of them.
        failed = re.search(r"^FAILED (\S+)", done.stdout, re.MULTILINE)
        if done.returncode != 1 or failed is None:
            raise SystemExit(f"{mutant.name}: the tests did not run:\n{done.stdout[-2000:]}")
        return failed.group(1)
    return None


def run_in(
    tree: Path, command: list[str], environ: dict[str, str], seconds: float
) -> subprocess.CompletedProcess[str] | None:
    """What the command said in this tree; None if it did not end in time. Either way nothing that
    it started lives on, and its temporary files are beside the tree."""
    temporary = tree.with_name("tmp")
    temporary.mkdir()
    temporary.chmod(0o1777)  # PostgreSQL's own user writes there too
    output = tree.with_name("output")
    with output.open("w") as out:
        started = subprocess.Popen(
            command,
            cwd=tree,
            env={**environ, MARK: str(tree), "TMPDIR": str(temporary)},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        status = started.wait(seconds)
    except subprocess.TimeoutExpired:
        started.send_signal(signal.SIGINT)  # pytest's fixtures end what they started
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(GRACE)
        return None
    finally:
        _end(living(tree))
        started.wait()
    return subprocess.CompletedProcess(command, status, output.read_text())


def living(tree: Path) -> list[psutil.Process]:
    """Processes that were started by what `run_in` ran in this tree."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == str(tree):
                found.append(process)
    return found


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(processes, timeout=10)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=10)


def _copy() -> Iterator[Path]:
    """A copy of the tree as it stands, gone afterwards with all that stands beside it."""
    directory = Path(tempfile.mkdtemp(prefix="mutant-"))
    directory.chmod(0o711)  # PostgreSQL's own user has to pass
    tree = directory / "tree"
    try:
        tracked = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True
        ).stdout
        for name in filter(None, tracked.decode().split("\0")):
            target = tree / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        yield tree
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _mutate(path: Path, mutant: Mutant) -> None:
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.name}: its text stands {text.count(mutant.old)} times in {path}")
    path.write_text(text.replace(mutant.old, mutant.new))


if __name__ == "__main__":
    sys.exit(main())
