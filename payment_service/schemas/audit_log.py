"""How the audit log is asked."""

from __future__ import annotations

from marshmallow import fields, validate

from payment_service.domain.acts import Act
from payment_service.schemas import fields as own
from payment_service.schemas import queries
from payment_service.schemas.lists import ListQuery


class ActQuery(ListQuery):
    """Filters of the list of acts."""

    act = fields.String(validate=validate.OneOf([str(act) for act in Act]))
    actor = own.PlainText(longest=200, shortest=1, searched=False)
    object = own.PlainText(longest=200, shortest=1, searched=False)
    at_from = queries.QueryTime()
    at_to = queries.QueryTime()
