"""Errors as pages, for whoever looks at the operators' or the payers' pages in a browser."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response, g, make_response, render_template, request

from payment_service import problems
from payment_service.api import pay_pages
from payment_service.domain.pages import is_page, is_payers_page

_NOT_NOW = "The service can't do this right now. Wait a moment, then try again."
_ENDS = (".", "!", "?")
# By code. What is told of these is written for programs.
_SAYS = {
    problems.NOT_FOUND.code: "There is no page at this address.",
    problems.METHOD_NOT_ALLOWED.code: "Go back, and use the buttons of the page.",
    problems.BODY_TOO_LARGE.code: "What was sent is too long.",
    problems.URI_TOO_LONG.code: "The address is too long.",
    problems.INTERNAL_ERROR.code: "Something went wrong here, and it is written down. Try again.",
    problems.BUSY.code: _NOT_NOW,
    problems.STORAGE_FULL.code: _NOT_NOW,
    problems.DATABASE_UNAVAILABLE.code: _NOT_NOW,
}


def error_page(status: int, code: str, detail: str) -> Response | None:
    """A page that says what is wrong: `detail`, unless it is written for programs. None where no
    page was asked for."""
    if is_payers_page(request.path):
        return pay_pages.error(status)
    if not is_page(request.path):
        return None
    says = _SAYS.get(code, f"{detail[:1].upper()}{detail[1:]}")
    title = HTTPStatus(status).phrase.capitalize()
    if request.method == "POST" and "othing was" not in says:
        says = f"{says if says.endswith(_ENDS) else f'{says}.'} {_what_was_done(status)}"
    page = render_template("admin/error.html", heading=title, says=says, id=g.get("request_id"))
    return make_response(page, status)


def _what_was_done(status: int) -> str:
    """By a form. Who was not admitted got no further."""
    if status < HTTPStatus.INTERNAL_SERVER_ERROR or g.get("operator") is None:
        return "Nothing was done."
    return (
        "Whether it was done is not sure: look before you send it again. A form that is sent again"
        " acts once."
    )
