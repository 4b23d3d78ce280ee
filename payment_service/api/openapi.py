"""The OpenAPI document: what the fields say of themselves, the key's header, all problems."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import resolve_schema_instance
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields

from payment_service.api.idempotent import HEADER
from payment_service.schemas.fields import AnswerSchema
from payment_service.version import VERSION

KEY = "IdempotencyKey"
"""The header's name among the document's components."""

KEY_PARAMETER: dict[str, Any] = {
    "name": HEADER,
    "description": "A key of the caller's own, one per intent. The same key and body give the "
    "first answer again. May be sent as idempotency_key in the body instead. Sent twice, the same "
    "value is one, different values are refused.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "example": "trip-32-charge",
}

SETTINGS: dict[str, Any] = {
    "API_TITLE": "Payment service",
    "API_VERSION": VERSION,
    "OPENAPI_VERSION": "3.1.0",
    "OPENAPI_URL_PREFIX": "/",
    "OPENAPI_JSON_PATH": "openapi.json",
    "OPENAPI_SWAGGER_UI_PATH": "/docs",
    "OPENAPI_SWAGGER_UI_URL": "static/swagger-ui/",  # turns the page on; templates/docs.html
    "API_SPEC_OPTIONS": {
        "info": {
            "summary": "Charge a finished trip, refund it, fetch the receipt.",
            "description": "What is not read is refused: unknown fields and query parameters, and "
            "a body sent to an operation that describes none (a GET or a DELETE), are 422.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
    },
}

# What an operation may answer by what it is; views name the others. 414 is not among them: it is
# about the request line, before an operation is chosen.
_ALWAYS = (400, 422, 429, 500)  # two values of one header; a body where none is read
_OF_THE_API = (503,)  # the database
_OF_A_BODY = (413, 415)

_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds", "schema": {"type": "integer", "minimum": 0}}
}
REPLAYED = {
    "Idempotent-Replayed": {
        "description": "true where the answer was kept from an earlier request with this key",
        "schema": {"type": "string", "enum": ["true"]},
    }
}


class Converter(OpenAPIConverter):
    """The members of an AnswerSchema are always there, but for those that say otherwise."""

    def schema2jsonschema(self, schema: Any) -> dict[str, Any]:
        made: dict[str, Any] = super().schema2jsonschema(schema)  # type: ignore[no-untyped-call]
        instance = resolve_schema_instance(schema)
        if isinstance(instance, AnswerSchema):
            made["required"] = sorted(made["properties"].keys() - instance.sometimes)
        return made


class Plugin(MarshmallowPlugin):
    Converter = Converter

    def init_spec(self, spec: Any) -> None:
        super().init_spec(spec)
        assert self.converter is not None  # made by init_spec
        self.converter.add_attribute_function(own_words)  # type: ignore[no-untyped-call]


def own_words(self: Converter, field: fields.Field[Any], **kwargs: Any) -> dict[str, Any]:
    """apispec's hook: what a field of ours adds to its JSON Schema."""
    wire: dict[str, Any] = getattr(field, "wire", {})
    return {name: value for name, value in wire.items() if name not in field.metadata}


def problems(*, watching: bool, has_body: bool) -> Iterable[int]:
    """The statuses that an operation may answer with a problem, by what it is."""
    yield from _ALWAYS
    if not watching:
        yield from _OF_THE_API
    if has_body:
        yield from _OF_A_BODY


def describe(spec: APISpec, problem: type[Schema], content_type: str) -> None:
    """Puts the key's header and a response for each problem among the components."""
    spec.components.parameter(KEY, "header", KEY_PARAMETER, lazy=True)
    for status in HTTPStatus:
        if status >= 400:
            waits = status in (409, 429, 503)
            response = {
                "description": status.phrase,
                "content": {content_type: {"schema": problem}},
                **({"headers": _RETRY_AFTER} if waits else {}),
            }
            spec.components.response(status.name, response, lazy=True)
