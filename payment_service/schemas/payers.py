"""What a charge says of its payer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import Schema, ValidationError, fields, validate

from payment_service.domain.payers import Payer, Said
from payment_service.schemas import fields as own
from payment_service.schemas.commands import CommandInBody


class EMail(fields.Email):
    """An e-mail address of the usual form."""

    wire: ClassVar[own.Wire] = {"maxLength": 254}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=validate.Length(max=254), **kwargs)


_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)


class Phone(fields.String):
    """A telephone number as E.164 writes it."""

    wire: ClassVar[own.Wire] = {"pattern": f"^{_E164.pattern}$", "examples": ["+46701234567"]}

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        if not isinstance(value, str) or not _E164.fullmatch(value):
            raise ValidationError("must be a number with + and country code, such as +46701234567")
        return value


class OneOf(fields.Nested):
    """An object in a body. What is wrong in it is told as messages of the field that it is."""

    def _deserialize(
        self,
        value: Any,
        attr: str | None,
        data: Mapping[str, Any] | None,
        partial: Any = None,
        **kwargs: Any,
    ) -> Any:
        try:
            return super()._deserialize(value, attr, data, partial, **kwargs)
        except ValidationError as error:
            raise ValidationError(_flat(error.messages)) from None


def _flat(messages: Any) -> list[str]:
    if not isinstance(messages, dict):
        return [str(message) for message in messages]
    return [f"{name}: {text}" for name, told in messages.items() for text in _flat(told)]


class PayerSchema(Schema):
    """Who pays. Kept encrypted, and told to nobody but the provider."""

    name = own.PlainText(longest=200, shortest=1)
    email = EMail()
    phone = Phone()


class PayerInBody(CommandInBody):
    """What a charge says of its payer."""

    payment_method_id = own.Id(
        metadata={
            "description": "What the payer has saved, in place of payment_token. It is charged"
            " without the payer; with return_url the payer is there, and may be asked"
        }
    )
    payer = OneOf(PayerSchema)
    return_url = own.PlainText(
        longest=2000,
        shortest=1,
        metadata={
            "description": "Where the payer is led once the payment is decided, with payment_id and"
            " status; https, of an origin that the service knows"
        },
    )
    channel = own.PlainText(
        longest=50,
        shortest=1,
        metadata={"description": "The way of paying that is wished for, in the provider's words"},
    )

    def said(self, sent: dict[str, Any]) -> dict[str, Any]:
        who = sent.pop("payer", None)
        payer = Payer(**who) if who else None
        said = Said(payer, sent.pop("return_url", None), sent.pop("channel", None))
        return super().said(sent | {"said": said} if said != _NOTHING else sent)


_NOTHING = Said()
