"""flask-smorest's Blueprint with our parser, short routes and documented answers."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import flask_smorest
from flask_smorest import Api as SmorestApi
from flask_smorest.utils import prepare_response
from marshmallow import Schema

from payment_service.api.body import Parser
from payment_service.api.errors import ProblemSchema

View = Callable[..., Any]


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """`answers` documents an answer that a service rendered itself."""

    ARGUMENTS_PARSER = Parser()

    def answers(self, status: int, schema: type[Schema], *others: int) -> Callable[[View], View]:
        """One schema under several statuses."""

        def decorate(view: View) -> View:
            for other in others:
                view = self.alt_response(
                    other, schema=schema, description=HTTPStatus(other).phrase, success=True
                )(view)
            documented: View = self.response(status, schema)(view)
            return documented

        return decorate


class Api(SmorestApi):  # type: ignore[misc]
    """Errors are documented as what they are: problem documents."""

    ERROR_SCHEMA = ProblemSchema
    PROBLEM = "application/problem+json"

    def _register_responses(self) -> None:
        named = [(status.name, status.phrase) for status in HTTPStatus if status >= 400]
        for name, phrase in [*named, ("DEFAULT_ERROR", "Problem details")]:
            response = {"description": phrase, "schema": self.ERROR_SCHEMA}
            prepare_response(response, self.spec, self.PROBLEM)
            self.spec.components.response(name, response, lazy=True)
