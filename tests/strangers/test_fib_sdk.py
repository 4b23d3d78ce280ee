"""First Iraqi Bank's own Python SDK drives the sandbox: it speaks the bank's dialect truly.

The SDK takes the 202 and 204 that the bank answers to a refund and a cancel for errors; what they
did shows in the status, and in the status of the error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import requests

from tests.patience import PATIENCE
from tests.sandbox_calls import arm, post
from tests.sandbox_server import Sandbox

fib_payments = pytest.importorskip("fib_payments")

Talk = Callable[[Any], Awaitable[Any]]


def talk(sandbox: Sandbox, what: Talk, *, secret: str = "any") -> Any:
    """What the SDK makes of it, as a client of the bank."""

    async def run() -> Any:
        config = fib_payments.FIBConfig(
            base_url=f"{sandbox.url}/fib",
            client_id="a-merchant",
            client_secret=secret,
            refundable_for="P7D",
            currency="IQD",
        )
        async with fib_payments.FIBPaymentsClient(config) as client:
            return await what(client)

    return asyncio.run(run())


async def opened(client: Any) -> str:
    made = await client.create_payment(
        2500,
        callback_url="http://127.0.0.1:9/callback?reference=stranger",
        description="A ride",
        redirect_uri="https://merchant.example/back",
    )
    assert made["qrCode"].startswith("data:image/png;base64,")
    assert made["readableCode"]
    assert made["validUntil"].endswith("Z")
    for app in ("personal", "business", "corporate"):
        assert made[f"{app}AppLink"].startswith("http")
    payment_id: str = made["paymentId"]
    return payment_id


async def act(sandbox: Sandbox, payment_id: str, outcome: str) -> None:
    answer = await asyncio.to_thread(post, sandbox, f"/fib/app/{payment_id}", outcome=outcome)
    assert answer.ok


async def refused(told: Awaitable[Any], status: int) -> None:
    with pytest.raises(fib_payments.APIError, match=f"Status: {status}"):
        await told


def test_a_payment_is_paid_and_given_back(sandbox: Sandbox) -> None:
    async def what(client: Any) -> None:
        payment_id = await opened(client)
        assert await client.get_payment_status(payment_id) == "UNPAID"
        await act(sandbox, payment_id, "approve")
        assert await client.get_payment_status(payment_id) == "PAID"
        await refused(client.cancel_payment(payment_id), 400)
        await refused(client.refund_payment(payment_id), 202)
        assert await client.get_payment_status(payment_id) == "REFUND_REQUESTED"
        await refused(client.refund_payment(payment_id), 400)
        await act(sandbox, payment_id, "approve")
        assert await client.get_payment_status(payment_id) == "REFUNDED"

    talk(sandbox, what)


def test_a_payment_is_cancelled(sandbox: Sandbox) -> None:
    async def what(client: Any) -> None:
        payment_id = await opened(client)
        await refused(client.cancel_payment(payment_id), 204)
        assert await client.get_payment_status(payment_id) == "DECLINED"
        await refused(client.refund_payment(payment_id), 400)

    talk(sandbox, what)


def test_who_is_not_known_gets_no_token(sandbox: Sandbox) -> None:
    with pytest.raises(fib_payments.AuthenticationError, match="401"):
        talk(sandbox, opened, secret="wrong")


def test_a_payment_that_nobody_knows(sandbox: Sandbox) -> None:
    talk(sandbox, lambda client: refused(client.get_payment_status("nobody-knows"), 404))


def test_it_hears_of_faults_too(sandbox: Sandbox) -> None:
    arm(sandbox, "charge", "fail_503", match={"dialect": "fib", "description": "A ride"})
    talk(sandbox, lambda client: refused(opened(client), 503))


def test_without_a_token_nothing_is_told(sandbox: Sandbox) -> None:
    for path in ("payments", "payments/1/refund", "payments/1/cancel"):
        for bearer in (None, "Bearer made-up", "Bearer 9999999999.0"):
            headers = {"Authorization": bearer} if bearer else {}
            url = f"{sandbox.url}/fib/protected/v1/{path}"
            assert requests.post(url, headers=headers, timeout=PATIENCE).status_code == 401
