"""Which form of the receipt is wanted."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

FORMS = {
    "json": "application/json",
    "html": "text/html",
    "pdf": "application/pdf",
}


class ReceiptQuery(Schema):
    format = fields.String(validate=validate.OneOf(list(FORMS)))
