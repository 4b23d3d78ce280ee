"""Saved methods over REST: of the rider whose token it is, or of a customer that is named."""

from __future__ import annotations

from flask import Response

from payment_service.api import reads
from payment_service.api.auth import own_rider, rider
from payment_service.api.blueprints import Blueprint
from payment_service.domain.payment_methods import AddMethod, BegunSetup
from payment_service.domain.vocabulary import PaymentStatus
from payment_service.schemas import payment_methods as schemas
from payment_service.services import customers, payment_methods

blueprint = Blueprint("payment_methods", __name__, description="What a customer has saved")

ONE = schemas.PaymentMethodSchema()

MINE = "/customers/me/payment-methods"
THEIRS = "/customers/<id:customer_id>/payment-methods"
ID = "<id:payment_method_id>"


@blueprint.post(MINE, operation="addMyPaymentMethod")
@blueprint.arguments(schemas.AddMyPaymentMethodSchema, required=False, example={})
@blueprint.response(201, schemas.SetupSchema)
@blueprint.refuses(503)
def add_mine(command: AddMethod) -> Response:
    """Save a method of the rider's

    The payer brings it to the provider as `next_action` says, and it appears in the list. For a
    rider's token only.
    """
    return _begun(payment_methods.add(customer_id=_me(), command=command))


@blueprint.get(MINE, operation="listMyPaymentMethods")
@blueprint.response(200, schemas.PaymentMethodListSchema)
def list_mine() -> Response:
    """List what the rider has saved

    The newest first; those that were taken away, too. For a rider's token only.
    """
    return _listed(_me())


@blueprint.post(f"{MINE}/{ID}/default", operation="chooseMyPaymentMethod")
@blueprint.response(200, schemas.PaymentMethodSchema)
@blueprint.refuses(404)
def choose_mine(payment_method_id: int) -> Response:
    """Make a method of the rider's its default

    In place of the one before. For a rider's token only.
    """
    return _chosen(_me(), payment_method_id)


@blueprint.delete(f"{MINE}/{ID}", operation="removeMyPaymentMethod")
@blueprint.response(204)
@blueprint.refuses(404)
def remove_mine(payment_method_id: int) -> Response:
    """Take a method of the rider's away for good

    It can't be charged any more, and the provider is told. For a rider's token only.
    """
    return _removed(_me(), payment_method_id)


@blueprint.post(THEIRS, operation="addPaymentMethod")
@blueprint.arguments(schemas.AddPaymentMethodSchema, required=False, example={})
@blueprint.response(201, schemas.SetupSchema)
@blueprint.refuses(404, 503)
def add(command: AddMethod, customer_id: int) -> Response:
    """Save a method of a customer's

    The payer brings it to the provider as `next_action` says, and it appears in the list.
    """
    return _begun(payment_methods.add(customer_id=_seen(customer_id), command=command))


@blueprint.get(THEIRS, operation="listPaymentMethods")
@blueprint.response(200, schemas.PaymentMethodListSchema)
@blueprint.refuses(404)
def list_theirs(customer_id: int) -> Response:
    """List what a customer has saved

    The newest first; those that were taken away, too.
    """
    return _listed(_seen(customer_id))


@blueprint.post(f"{THEIRS}/{ID}/default", operation="choosePaymentMethod")
@blueprint.response(200, schemas.PaymentMethodSchema)
@blueprint.refuses(404)
def choose(customer_id: int, payment_method_id: int) -> Response:
    """Make a method of a customer's its default

    In place of the one before.
    """
    return _chosen(_seen(customer_id), payment_method_id)


@blueprint.delete(f"{THEIRS}/{ID}", operation="removePaymentMethod")
@blueprint.response(204)
@blueprint.refuses(404)
def remove(customer_id: int, payment_method_id: int) -> Response:
    """Take a method of a customer's away for good

    It can't be charged any more, and the provider is told.
    """
    return _removed(_seen(customer_id), payment_method_id)


def _me() -> int:
    return customers.mine(user_id=own_rider()).customer_id


def _seen(customer_id: int) -> int:
    """Raises CustomerNotFound, for a rider also of any other than itself."""
    return customers.get(customer_id=customer_id, rider=rider()).customer_id


def _begun(setup: BegunSetup) -> Response:
    told = {**vars(setup), "status": PaymentStatus.REQUIRES_ACTION}
    return _private(reads.written(schemas.SetupSchema().write(told)), 201)


def _listed(customer_id: int) -> Response:
    found = payment_methods.listed(customer_id=customer_id)
    return _private(reads.written({"payment_methods": [ONE.write(vars(one)) for one in found]}))


def _chosen(customer_id: int, payment_method_id: int) -> Response:
    chosen = payment_methods.choose(customer_id=customer_id, payment_method_id=payment_method_id)
    return _private(reads.written(ONE.write(vars(chosen))))


def _removed(customer_id: int, payment_method_id: int) -> Response:
    payment_methods.remove(customer_id=customer_id, payment_method_id=payment_method_id)
    return Response(status=204)


def _private(response: Response, status: int = 200) -> Response:
    """Personal: nobody between may keep it, and neither may a browser."""
    response.headers["Cache-Control"] = "no-store"
    response.status_code = status
    return response
