"""flask-smorest's Blueprint and Api with our parser, our ids in paths, and documented answers."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import flask_smorest
from flask import Flask, Response, make_response, render_template
from flask_smorest import Api as SmorestApi
from marshmallow import Schema
from werkzeug.exceptions import NotFound
from werkzeug.routing import BaseConverter

from payment_service.api import openapi
from payment_service.api.auth import OPEN, Rules
from payment_service.api.body import Parser
from payment_service.api.browser import DOCS
from payment_service.api.errors import PROBLEM, ProblemSchema, kinds
from payment_service.problems import CSP
from payment_service.schemas.fields import BIGINT

View = Callable[..., Any]


class IdConverter(BaseConverter):
    """`<id:...>` in a path: a positive bigint in ASCII digits, written in one way only, because an
    idempotency key belongs to its path."""

    regex = "[1-9][0-9]{0,18}"
    weight = 50

    def to_python(self, value: str) -> int:
        if int(value) > BIGINT:
            raise NotFound  # a ValidationError would tell a 405 where another method exists
        return int(value)


class NameConverter(BaseConverter):
    """`<name:...>` in a path: a word that can't be taken for an id."""

    regex = "[A-Za-z][A-Za-z0-9_-]*"


class Blueprint(flask_smorest.Blueprint):
    """Documents what its views may answer; the problems that all have in common by itself."""

    ARGUMENTS_PARSER = Parser()

    def __init__(self, *args: Any, watching: bool = False, **kwargs: Any) -> None:
        """`watching` is for probes and scrapers: any query is taken, no database is needed."""
        super().__init__(*args, **kwargs)
        self._watching = watching
        self.rules: Rules = {}  # of its views, once it is registered
        self._prepare_doc_cbks.append(self._prepare_problems_doc)

    def add_url_rule(self, *args: Any, operation: str, **kwargs: Any) -> None:
        """As flask-smorest's. `operation` is the operationId, after which generators name their
        functions: once it is published, it stays."""
        super().add_url_rule(*args, **kwargs)
        described = self._docs[self._endpoints[-1]]
        for method in described.keys() - {"parameters"}:
            described[method].setdefault("manual_doc", {})["operationId"] = operation

    def arguments(self, schema: Any, **kwargs: Any) -> Any:
        """As flask-smorest's, but one schema object serves all requests: making one costs more
        than using it."""
        made = schema() if isinstance(schema, type) else schema
        return super().arguments(made, **kwargs)

    def answers(self, status: int, schema: type[Schema], *others: int) -> Callable[[View], View]:
        """Documents an answer that a service rendered itself: one schema, several statuses."""

        def decorate(view: View) -> View:
            for other in others:
                view = self.alt_response(
                    other,
                    schema=schema,
                    description=HTTPStatus(other).phrase,
                    headers=openapi.REPLAYED,
                    success=True,
                )(view)
            documented: View = self.response(status, schema, headers=openapi.REPLAYED)(view)
            return documented

        return decorate

    def tagged(self, schema: type[Schema], **kwargs: Any) -> Callable[[View], View]:
        """Documents an answer that has a tag, and that is not sent to who has it (api/reads.py)."""

        def decorate(view: View) -> View:
            view = self.alt_response(
                304, description="Nothing changed since the tag that was sent"
            )(view)
            view = self.response(200, schema, headers=openapi.TAGGED, **kwargs)(view)
            documented: View = self.doc(parameters=[openapi.IF_NONE_MATCH])(view)
            return documented

        return decorate

    def refuses(self, *statuses: int) -> Callable[[View], View]:
        """Documents problems that are this view's own."""

        def decorate(view: View) -> View:
            for status in statuses:
                view = self.alt_response(status, response=openapi.problem_name(status))(view)
            return view

        return decorate

    def keyed(self, view: View) -> View:
        """Documents that the view takes an idempotency key."""
        documented: View = self.doc(parameters=[openapi.KEY])(view)
        return documented

    def register_views_in_doc(self, *args: Any, **kwargs: Any) -> None:
        """As flask-smorest's, which does not tell its hooks the name of the view."""
        for view, described in self._docs.items():
            for method in described.keys() - {"parameters"}:
                described[method]["rule"] = self.rules.get(view, OPEN)
        super().register_views_in_doc(*args, **kwargs)

    def _prepare_problems_doc(self, doc: Any, doc_info: Any, **kwargs: Any) -> Any:
        """Called by flask-smorest for each operation: adds what it may be refused with, and who may
        call it."""
        rule, has_body = doc_info["rule"], "requestBody" in doc
        responses = doc.setdefault("responses", {})
        for status in openapi.statuses(
            watching=self._watching, has_body=has_body, is_open=rule == OPEN
        ):
            responses.setdefault(status, openapi.problem_name(status))
        doc["security"] = [] if rule == OPEN else [{openapi.BEARER_AUTH: [str(rule)]}]
        if 422 in responses:
            responses[422] = openapi.problem_name(422)  # flask-smorest's own name, of arguments()
        return {**doc, "responses": dict(sorted(responses.items()))}


class Api(SmorestApi):
    """The OpenAPI document and its page."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def __init__(self, app: Flask) -> None:
        app.config.update(openapi.SETTINGS)
        app.url_map.converters |= {"id": IdConverter, "name": NameConverter}
        super().__init__(app, spec_kwargs={"marshmallow_plugin": openapi.Plugin()})
        schema = {"type": "integer", "minimum": 1, "maximum": BIGINT}
        self.register_converter(IdConverter, lambda _: dict(schema))

    def register_blueprint(self, blueprint: Blueprint, *, rules: Rules, **options: Any) -> None:
        """As flask-smorest's. `rules` say who may call each view; the document says it too."""
        blueprint.rules = rules
        super().register_blueprint(blueprint, **options)

    def _register_responses(self) -> None:
        openapi.describe(self.spec, ProblemSchema, PROBLEM, kinds())

    def _register_etag_headers(self) -> None:
        """flask-smorest would describe ETag headers in its own way; ours are openapi.TAGGED."""

    def _register_pagination_header(self) -> None:
        """flask-smorest would describe a paging header; our lists have next_cursor instead."""

    def _openapi_swagger_ui(self) -> Response:
        page = make_response(render_template("docs.html", title=self.spec.title))
        page.headers[CSP] = DOCS
        return page
