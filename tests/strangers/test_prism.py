"""Other people's client of Fiuu asks the sandbox's: requery, capture, void, refund, and whether a
notification is true."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from payment_service.domain.vocabulary import TransactionType
from tests.harness import an_operation, done
from tests.harness_fiuu import KEYS, FiuuHarness
from tests.patience import PATIENCE
from tests.sandbox_server import ROOT, Sandbox

PYTHON = ROOT / ".strangers" / "prism" / "bin" / "python"
CLIENT = Path(__file__).with_name("prism_client.py")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PYTHON.exists(), reason="hyperswitch-prism is not in .strangers/ (make strangers)"
    ),
]


@pytest.fixture
def harness(sandbox: Sandbox) -> Iterator[FiuuHarness]:
    yield FiuuHarness(sandbox)


def asked(sandbox: Sandbox, **what: Any) -> dict[str, Any]:
    keys = [KEYS.merchant, KEYS.verify_key, KEYS.secret_key]
    wanted = {"url": f"{sandbox.url}/fiuu/", "keys": keys, **what}
    answer = subprocess.run(
        [str(PYTHON), str(CLIENT)],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def test_a_charge_is_found_and_given_back(harness: FiuuHarness, sandbox: Sandbox) -> None:
    result, charge = done(harness, an_operation(harness, TransactionType.CHARGE))
    number = result.provider_reference
    paid = asked(sandbox, call="get", transaction=number, reference=charge.reference, amount=10_000)
    assert paid == {"status": "CHARGED", "id": number}
    about = {"transaction": number, "reference": f"{charge.reference}-R", "amount": 4_000}
    refund = asked(sandbox, call="refund", **about)
    assert refund["status"] == "REFUND_PENDING"
    about |= {"refund": refund["id"]}
    assert asked(sandbox, call="refund_get", **about) == refund


def test_a_hold_is_captured(harness: FiuuHarness, sandbox: Sandbox) -> None:
    result, hold = done(harness, an_operation(harness, TransactionType.AUTHORIZATION))
    about = {"transaction": result.provider_reference, "reference": hold.reference}
    assert asked(sandbox, call="get", amount=10_000, **about)["status"] == "AUTHORIZED"
    assert asked(sandbox, call="capture", amount=4_000, **about)["status"] == "CHARGED"


def test_a_hold_is_given_up(harness: FiuuHarness, sandbox: Sandbox) -> None:
    result, hold = done(harness, an_operation(harness, TransactionType.AUTHORIZATION))
    about = {"transaction": result.provider_reference, "reference": hold.reference}
    assert asked(sandbox, call="void", amount=10_000, **about)["status"] == "VOIDED"


@pytest.mark.parametrize("change", [{}, {"amount": "1.00"}, {"skey": "0" * 32}])
def test_a_true_notification_is_believed(sandbox: Sandbox, change: dict[str, str]) -> None:
    told = {
        "nbcb": "2",
        "tranID": "3012345",
        "orderid": "PAY-1",
        "status": "00",
        "domain": "SB_test",
        "amount": "104.86",
        "currency": "MYR",
        "appcode": "A1B2",
        "paydate": "2026-11-21 12:00:00",
        "error_code": "",
        "error_desc": "",
        "channel": "credit",
        "extraP": "",
    }
    told["skey"] = KEYS.notice(told)
    said = asked(sandbox, call="event", body=urlencode({**told, **change}))
    assert said == {"status": "PAYMENT_INTENT_SUCCESS", "verified": not change}
