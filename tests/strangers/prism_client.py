"""Other people's client of Fiuu, hyperswitch-prism, asked for one thing. It runs in an environment
of its own (.strangers/), because its library and its dependencies are none of the service's.

Reads {"call", "url", "keys": [merchant, verify, secret], ...} from stdin and writes what it says as
JSON: {"status", "id"}, or of a webhook {"status", "verified"}.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import payments as prism
from payments.generated import events_pb2, payment_pb2


def config(asked: dict[str, Any]) -> Any:
    merchant, verify_key, secret_key = asked["keys"]
    fiuu = prism.FiuuConfig(
        merchant_id=prism.SecretString(value=merchant),
        verify_key=prism.SecretString(value=verify_key),
        secret_key=prism.SecretString(value=secret_key),
        base_url=asked["url"],
        secondary_base_url=asked["url"],
    )
    specific = prism.ConnectorSpecificConfig(fiuu=fiuu)
    return prism.ConnectorConfig(connector_config=specific)


def money(asked: dict[str, Any]) -> Any:
    return prism.Money(minor_amount=asked["amount"], currency=prism.Currency.Value("MYR"))


async def answer(asked: dict[str, Any]) -> dict[str, Any]:
    if asked["call"] == "event":
        return event(asked)
    payments = prism.PaymentClient(config(asked))
    number, reference = asked.get("transaction", ""), asked.get("reference", "")
    if asked["call"] == "get":
        said = await payments.get(
            prism.PaymentServiceGetRequest(
                merchant_transaction_id=reference,
                connector_transaction_id=number,
                amount=money(asked),
            )
        )
        return told(prism.PaymentStatus, said, said.connector_transaction_id)
    if asked["call"] == "capture":
        said = await payments.capture(
            prism.PaymentServiceCaptureRequest(
                merchant_capture_id=reference,
                connector_transaction_id=number,
                amount_to_capture=money(asked),
            )
        )
        return told(prism.PaymentStatus, said, said.connector_transaction_id)
    if asked["call"] == "void":
        said = await payments.void(
            prism.PaymentServiceVoidRequest(
                merchant_void_id=reference, connector_transaction_id=number, amount=money(asked)
            )
        )
        return told(prism.PaymentStatus, said, said.connector_transaction_id)
    if asked["call"] == "refund":
        said = await payments.refund(
            prism.PaymentServiceRefundRequest(
                merchant_refund_id=reference,
                connector_transaction_id=number,
                payment_amount=asked["amount"],
                refund_amount=money(asked),
                webhook_url="https://pay.example.com/v1/webhooks/fiuu",
            )
        )
        return told(prism.RefundStatus, said, said.connector_refund_id)
    if asked["call"] == "refund_get":
        said = await prism.RefundClient(config(asked)).refund_get(
            prism.RefundServiceGetRequest(
                merchant_refund_id=reference,
                refund_id=reference,
                connector_transaction_id=number,
                connector_refund_id=asked["refund"],
            )
        )
        return told(prism.RefundStatus, said, said.connector_refund_id)
    raise SystemExit(f"no such call: {asked['call']}")


def event(asked: dict[str, Any]) -> dict[str, Any]:
    """Whether it believes a webhook, and what it takes it for."""
    automatic = prism.CaptureMethod.Value("AUTOMATIC")
    said = prism.EventClient(config(asked)).handle_event(
        events_pb2.EventServiceHandleRequest(
            merchant_event_id="1",
            request_details=payment_pb2.RequestDetails(
                method=payment_pb2.HttpMethod.Value("HTTP_METHOD_POST"),
                uri="/",
                headers={"content-type": "application/x-www-form-urlencoded"},
                body=asked["body"].encode(),
            ),
            webhook_secrets=payment_pb2.WebhookSecrets(secret=asked["keys"][2]),
            event_context=events_pb2.EventContext(
                payment=events_pb2.PaymentEventContext(capture_method=automatic)
            ),
        )
    )
    return {
        "status": prism.WebhookEventType.Name(said.event_type),
        "verified": said.source_verified,
    }


def told(statuses: Any, said: Any, number: str) -> dict[str, Any]:
    return {"status": statuses.Name(said.status), "id": number}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(answer(json.load(sys.stdin)))))
