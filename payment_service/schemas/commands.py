"""Bodies that are read into commands (domain/commands.py), once and for good."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import Schema, fields

from payment_service.domain.commands import SentAmount
from payment_service.domain.errors import InvalidRequest
from payment_service.domain.vocabulary import METHOD_ALIASES, Method
from payment_service.schemas import fields as own


class CommandInBody(Schema):
    """Loads a command of the class `makes`."""

    makes: ClassVar[type[Any]]

    def load(self, data: Any, **options: Any) -> Any:
        """The command. Raises InvalidRequest, too, where two members say different things. Not by a
        hook of marshmallow's: a charge would pay for looking it up."""
        return self.makes(**self.said(super().load(data, **options)))

    def said(self, sent: dict[str, Any]) -> dict[str, Any]:
        """What was sent, as the command's members; `sent` may be changed."""
        return sent


class KeyInBody(CommandInBody):
    idempotency_key = fields.String(
        metadata={
            "description": "Instead of the Idempotency-Key header",
            "pattern": "^[!-~]{1,255}$",
        }
    )

    def said(self, sent: dict[str, Any]) -> dict[str, Any]:
        """The key is read from the body as it came (api/idempotent.py)."""
        sent.pop("idempotency_key", None)
        return super().said(sent)


class AmountInBody(KeyInBody):
    amount = own.AmountIn()
    amount_minor = own.AmountMinor(metadata={"description": "Minor units; instead of amount"})

    def said(self, sent: dict[str, Any]) -> dict[str, Any]:
        minor = sent.pop("amount_minor", None)
        if "amount" in sent:
            if minor is not None:
                raise InvalidRequest.field("amount_minor", "send amount or amount_minor, not both")
            sent["amount"] = SentAmount(sent["amount"])
        elif minor is not None:
            sent["amount"] = SentAmount(minor, in_minor_units=True)
        return super().said(sent)


class MethodField(own.Word):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(Method, METHOD_ALIASES, **kwargs)


class HowInBody(KeyInBody):
    """How a payment is to be charged, its method under either of two names."""

    method = MethodField()
    payment_method = MethodField(metadata={"description": "Another name for method"})
    provider = own.PlainText(longest=50, shortest=1, searched=False)
    payment_token = own.PlainText(longest=255, shortest=1)

    def said(self, sent: dict[str, Any]) -> dict[str, Any]:
        other = sent.pop("payment_method", None)
        if other is not None and sent.setdefault("method", other) != other:
            raise InvalidRequest.field("payment_method", "differs from method; send one of them")
        if "method" in sent:
            sent["method"] = Method(sent["method"])
        if "capture" in sent:
            sent["held"] = not sent.pop("capture")
        return super().said(sent)
