"""Webhooks over REST: providers' own calls, and what became of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint as FlaskBlueprint
from flask import Flask, Response, g, request
from werkzeug.exceptions import NotFound, RequestEntityTooLarge

from payment_service import replica
from payment_service.api import limits, openapi, reads
from payment_service.api.auth import OPEN, Rules, caller
from payment_service.api.blueprints import Blueprint
from payment_service.api.body import reads_as_it_comes
from payment_service.bounds import MOST_WEBHOOK_BYTES
from payment_service.providers.webhooks import Incoming
from payment_service.schemas import webhooks as schemas
from payment_service.services import listings, webhook_reading, webhooks

DOOR = "webhook_door"
blueprint = Blueprint("webhooks", __name__, description="What providers say unasked")

PAGE, WEBHOOK = schemas.WebhookListSchema(), schemas.WebhookDetailSchema()

# A provider's name is no id, so each of the two paths takes one method only: hence the 405s.
ID = "<id:webhook_id>"
Body = dict[str, Any]


def register(app: Flask) -> Rules:
    """Puts the providers' door on the app, and gives its rule. It is in no document: nobody calls
    it but providers, each in a form of its own, and to OpenAPI its path is the same as that of one
    webhook."""
    door = FlaskBlueprint(DOOR, __name__)
    door.add_url_rule("/v1/webhooks/<name:provider>", view_func=receive, methods=["POST"])
    app.register_blueprint(door)
    return {f"{DOOR}.{receive.__name__}": OPEN}


@reads_as_it_comes
def receive(provider: str) -> Response:
    """What a provider tells us of a request, in its own form and signed in its own way.

    The answer's status and text are those that it expects. 400 says nothing of why. 404: no such
    provider is on, or it sends none.
    """
    if (found := webhooks.receiver(provider)) is None:
        raise NotFound
    incoming = _incoming()
    said = webhooks.verified(
        provider=found,
        incoming=incoming,
        address=request.remote_addr,
        expect_room=limits.count_refused_webhook,
    )
    limits.count_webhook(signed=webhooks.is_signed(said))
    webhooks.take(provider=found, said=said, incoming=incoming, request_id=g.get("request_id"))
    receipt = webhooks.receipt(found)
    return Response(receipt.body, receipt.status, content_type=receipt.content_type)


def _incoming() -> Incoming:
    """Raises RequestEntityTooLarge."""
    # One more than is taken: of a body without a length, what is beyond this is cut off unsaid.
    request.max_content_length = MOST_WEBHOOK_BYTES + 1
    body = request.get_data(cache=False)
    if len(body) > MOST_WEBHOOK_BYTES:
        raise RequestEntityTooLarge
    return Incoming(
        body=body,
        headers={name.lower(): value for name, value in request.headers.items()},
        arguments=request.args.to_dict(),
        received_at=datetime.now(UTC),
    )


@blueprint.get("/webhooks", operation="listWebhooks")
@blueprint.arguments(schemas.WebhookQuery, location="query")
@blueprint.response(200, schemas.WebhookListSchema, headers=openapi.AGED)
def list_webhooks(query: Body) -> Response:
    """List webhooks, newest first

    Paged as payments are; without their bodies.
    """
    with replica.may_answer(query["filters"], beside=query["page"].beside):
        found = listings.list_webhooks(**query)
    return reads.written(PAGE.write(found))


@blueprint.get(f"/webhooks/{ID}", operation="getWebhook")
@blueprint.response(200, schemas.WebhookDetailSchema)
@blueprint.refuses(404, 405)
def get(webhook_id: int) -> Response:
    """Read one webhook

    Of its body, names and numbers that mean no person; all else is masked.
    """
    return reads.written(WEBHOOK.write(webhook_reading.get(webhook_id=webhook_id)))


@blueprint.post(f"/webhooks/{ID}/replay", operation="replayWebhook")
@blueprint.response(200, schemas.WebhookDetailSchema)
@blueprint.refuses(404)
def replay(webhook_id: int) -> Response:
    """Take a webhook in once more

    From what was kept of it. What it says decides as it did the first time: it moves nothing that
    has moved on since.
    """
    webhooks.replay(webhook_id=webhook_id, caller=caller())
    return reads.written(WEBHOOK.write(webhook_reading.get(webhook_id=webhook_id)))
