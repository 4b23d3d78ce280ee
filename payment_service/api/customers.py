"""Customers over REST."""

from __future__ import annotations

from typing import Any

from flask import Response

from payment_service.api import reads
from payment_service.api.auth import caller, own_rider, rider
from payment_service.api.blueprints import Blueprint
from payment_service.domain.customers import ChangeCustomer, Customer
from payment_service.schemas import customers as schemas
from payment_service.services import customers

blueprint = Blueprint("customers", __name__, description="Who pays again and again")

ONE = schemas.CustomerSchema()

ME = "/customers/me"
ID = "<id:customer_id>"


@blueprint.get(ME, operation="getMyCustomer")
@blueprint.response(200, schemas.CustomerSchema)
def get_mine() -> Response:
    """Read the customer that the rider is

    Made at the first call. For a rider's token only.
    """
    return _told(customers.mine(user_id=own_rider()))


@blueprint.patch(ME, operation="changeMyCustomer")
@blueprint.arguments(schemas.ChangeMyCustomerSchema, example={"email": "rider@example.com"})
@blueprint.response(200, schemas.CustomerSchema)
@blueprint.refuses(404)
def change_mine(command: ChangeCustomer) -> Response:
    """Change what is kept of the rider

    What is left out stays, null empties a field. For a rider's token only.
    """
    return _told(customers.change(user_id=own_rider(), command=command))


@blueprint.get(f"/customers/{ID}", operation="getCustomer")
@blueprint.response(200, schemas.CustomerSchema)
@blueprint.refuses(404)
def get(customer_id: int) -> Response:
    """Read one customer

    To a rider any other than itself is not there.
    """
    return _told(customers.get(customer_id=customer_id, rider=rider()))


@blueprint.get("/customers", operation="findCustomers")
@blueprint.arguments(schemas.CustomerQuery, location="query")
@blueprint.response(200, schemas.FoundCustomersSchema)
def find(filters: dict[str, Any]) -> Response:
    """Find customers by their user's number, e-mail address or telephone number

    100 at most, the newest first. The whole address or number is needed.
    """
    found = customers.find(filters=filters)
    return _private(reads.written({"customers": [ONE.write(vars(one)) for one in found]}))


@blueprint.delete(f"/customers/{ID}", operation="eraseCustomer")
@blueprint.response(204)
@blueprint.alt_response(202, description="A provider has yet to confirm; asked again, 404 is done")
@blueprint.refuses(404, 409)
def erase(customer_id: int) -> Response:
    """Erase a customer

    What is personal is gone for good, also from what was said of who paid. Payments, amounts,
    references and the audit chains stay. The user may come back, as somebody new.
    """
    done = customers.erase(customer_id=customer_id, caller=caller())
    return Response(status=204 if done else 202)


def _told(customer: Customer) -> Response:
    return _private(reads.written(ONE.write(vars(customer))))


def _private(response: Response) -> Response:
    """Personal: nobody between may keep it, and neither may a browser."""
    response.headers["Cache-Control"] = "no-store"
    return response
