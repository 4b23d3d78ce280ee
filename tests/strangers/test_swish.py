"""Clients of Swish that others wrote, against our sandbox: whether it speaks Swish truly."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

import getswish
import pytest
import requests
import swish

from payment_service.http import Tls
from tests.harness_swish import ALIAS
from tests.node_packages import installed
from tests.patience import PATIENCE
from tests.sandbox_server import ROOT, Sandbox

# swish stands on schematics, which warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated:DeprecationWarning")

CALLBACK = "https://example.com/callbacks"


@pytest.fixture(scope="module")
def known(sandbox: Sandbox) -> Tls:
    """The files of a merchant's certificate."""
    return sandbox.authority.tls(ALIAS)


@pytest.fixture
def first(sandbox: Sandbox, known: Tls) -> getswish.SwishClient:
    """getswish."""
    return getswish.SwishClient(
        getswish.Environment("ours", f"{sandbox.swish_url}/swish-cpcapi/api/"),
        getswish.Certificates(
            communication=getswish.Certificate(public=known.cert, private_key=known.key),
            verify=getswish.Certificate(public=known.ca),
        ),
        ALIAS,
    )


@pytest.fixture
def second(sandbox: Sandbox, known: Tls) -> swish.SwishClient:
    """swish."""
    ours = swish.Environment("ours", f"{sandbox.swish_url}/swish-cpcapi/api/", None)
    return swish.SwishClient(ours, ALIAS, (known.cert, known.key), known.ca)


def a_phone() -> str:
    return f"4670{secrets.randbelow(10**6):06}33"


def a_reference() -> str:
    return f"ORDER{secrets.token_hex(6).upper()}"


def says(sandbox: Sandbox, name: str, outcome: str) -> None:
    url = f"{sandbox.url}/swish/phones/{name}"
    assert requests.post(url, json={"outcome": outcome}, timeout=PATIENCE).ok


def test_getswish_is_paid_and_gives_back(first: getswish.SwishClient, sandbox: Sandbox) -> None:
    reference, phone = a_reference(), a_phone()
    asked = first.create_payment(
        104.86, CALLBACK, phone, payee_payment_reference=reference, message="Resa 32"
    )
    assert asked.location == f"{sandbox.swish_url}/swish-cpcapi/api/v1/paymentrequests/{asked.id}"
    assert asked.payment_request_token is None
    waits = first.retrieve_payment(asked.id)
    assert (waits.id, waits.status, waits.payment_reference) == (asked.id, "CREATED", None)
    assert (waits.payer_alias, waits.payee_alias) == (phone, ALIAS)
    assert (float(waits.amount), waits.currency, waits.message) == (104.86, "SEK", "Resa 32")
    says(sandbox, asked.id, "approve")
    paid = first.retrieve_payment(asked.id)
    assert (paid.status, paid.payee_payment_reference) == ("PAID", reference)
    assert paid.date_paid
    for amount in (4.86, 100):
        refund = first.create_refund(
            paid.payment_reference, CALLBACK, phone, amount, payer_payment_reference=a_reference()
        )
        given = first.retrieve_refund(refund.id)
        assert (given.status, float(given.amount)) == ("PAID", amount)
        assert given.original_payment_reference == paid.payment_reference
        assert (given.payer_alias, given.payee_alias) == (ALIAS, phone)
    with pytest.raises(getswish.SwishError) as refused:
        first.create_refund(paid.payment_reference, CALLBACK, phone, 1)
    assert list(refused.value.errors) == ["RF08"]


def test_getswish_is_told_what_is_wrong(first: getswish.SwishClient) -> None:
    asked = first.create_payment(100, CALLBACK, a_phone())
    with pytest.raises(getswish.SwishError) as refused:
        first.create_payment(100, CALLBACK, a_phone(), id=asked.id)
    assert list(refused.value.errors) == ["RP09"]
    for wrong, code in (
        ({"currency": "EUR"}, "AM03"),
        ({"payer_alias": "0701234567"}, "BE18"),
        ({"callback_url": "http://example.com"}, "RP03"),
        ({"amount": "much"}, "PA02"),
        ({"amount": 1e12}, "AM02"),
        ({"message": "x" * 51}, "RP02"),
        ({"payee_payment_reference": "PAY-1-1"}, "FF08"),
        ({"payer_alias": asked.payer_alias}, "RP06"),
    ):
        said = {"amount": 100, "callback_url": CALLBACK, "payer_alias": a_phone(), **wrong}
        positional = [said.pop(name) for name in ("amount", "callback_url", "payer_alias")]
        with pytest.raises(getswish.SwishError) as refused:
            first.create_payment(*positional, **said)
        assert list(refused.value.errors) == [code]
    with pytest.raises(getswish.SwishError) as refused:
        first.create_payment(100, CALLBACK, a_phone(), payee_alias="1239999999")
    assert refused.value.response.status_code == 403
    with pytest.raises(getswish.SwishError) as refused:
        first.retrieve_payment("0" * 32)
    assert refused.value.response.status_code == 404


@pytest.mark.parametrize("outcome", ["decline", "BANKIDCL", "TM01", "DS24"])
def test_getswish_hears_that_it_ended(
    first: getswish.SwishClient, sandbox: Sandbox, outcome: str
) -> None:
    asked = first.create_payment(100, CALLBACK, a_phone())
    says(sandbox, asked.id, outcome)
    found = first.retrieve_payment(asked.id)
    expected = ("DECLINED", "RF07") if outcome == "decline" else ("ERROR", outcome)
    assert (found.status, found.error_code) == expected


def test_getswish_cancels_by_link(first: getswish.SwishClient, sandbox: Sandbox) -> None:
    asked = first.create_payment(100, CALLBACK)
    assert asked.payment_request_token
    assert first.cancel_payment(asked.id).status == "CANCELLED"
    assert first.retrieve_payment(asked.id).status == "CANCELLED"
    with pytest.raises(getswish.SwishError):
        first.cancel_payment(asked.id)


def test_swish_is_paid_and_gives_back(second: swish.SwishClient, sandbox: Sandbox) -> None:
    reference, phone = a_reference(), a_phone()
    asked = second.create_payment(
        amount=104.86,
        currency="SEK",
        callback_url=CALLBACK,
        callback_identifier=secrets.token_hex(16).upper(),
        payee_payment_reference=reference,
        payer_alias=phone,
        message="Resa 32",
    )
    assert second.get_payment(asked.id).status == "CREATED"
    says(sandbox, asked.id, "approve")
    paid = second.get_payment(asked.id)
    assert (paid.status, paid.payee_payment_reference, paid.amount) == ("PAID", reference, 104.86)
    assert paid.date_paid >= paid.date_created
    refund = second.create_refund(
        original_payment_reference=paid.payment_reference,
        amount=104.86,
        currency="SEK",
        callback_url=CALLBACK,
        payer_payment_reference=a_reference(),
    )
    given = second.get_refund(refund.id)
    assert (given.status, given.amount) == ("PAID", 104.86)
    with pytest.raises(swish.SwishError) as refused:
        second.create_payment(100, "EUR", CALLBACK)
    assert refused.value.error_code == "AM03"


def test_swish_cancels_by_link(second: swish.SwishClient, sandbox: Sandbox) -> None:
    asked = second.create_payment(100, "SEK", CALLBACK)
    assert asked.request_token
    assert second.cancel_payment(asked.id).status == "CANCELLED"


@pytest.mark.slow
def test_swish_merchant_is_paid_and_gives_back(sandbox: Sandbox, known: Tls) -> None:
    """It sends amounts as text."""
    work = ROOT / ".strangers" / "node"
    node = installed(Path(__file__).parent / "node", work)
    told = [sandbox.swish_url, known.cert, known.key, known.ca, ALIAS, a_reference(), a_phone()]
    done = subprocess.run(
        [node, "swish_merchant.js", *told, sandbox.url],
        cwd=work,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
