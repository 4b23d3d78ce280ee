"""The identity service's page where one picks a person, who is sent back with a code."""

from __future__ import annotations

import time
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from payment_service.sandbox.codes import Picked
from payment_service.sandbox.replies import failed
from payment_service.sandbox.state import the_state

people = Blueprint("people", __name__)

ROLES = ("viewer", "operator", "approver", "admin")
"""A person for each, with the role payments-viewer and so on; and one without any."""
_ASKED = ("client_id", "redirect_uri", "response_type", "code_challenge", "code_challenge_method")


@people.get("/identity/authorize")
def pick() -> str | Response:
    """The page. It is shown each time, so `prompt` and `max_age` change nothing."""
    if wrong := _wrong():
        return failed(400, "invalid_request", wrong)
    return render_template("people.html", client=request.args["client_id"], roles=ROLES)


@people.post("/identity/authorize")
def picked() -> BaseResponse:
    """Sends the browser back: with a code, or without where `refuse` was pressed."""
    if wrong := _wrong():
        return failed(400, "invalid_request", wrong)
    asked, form = request.args, request.form
    answer = {"state": asked.get("state", ""), "iss": f"{request.host_url}identity"}
    if "refuse" in form:
        return _back({"error": "access_denied", **answer})
    person = Picked(
        client_id=asked["client_id"],
        redirect_uri=asked["redirect_uri"],
        challenge=asked["code_challenge"],
        nonce=asked.get("nonce"),
        subject=form.get("sub") or "nobody",
        roles=tuple(form.get("roles", "").split()),
        at=int(time.time()),
    )
    return _back({"code": the_state().codes.give(person), **answer})


def _back(answer: dict[str, str]) -> BaseResponse:
    where = request.args["redirect_uri"]
    return redirect(f"{where}{'&' if '?' in where else '?'}{urlencode(answer)}", 303)


def _wrong() -> str | None:
    """What keeps the request from being one for a code, with PKCE."""
    asked = request.args
    if missing := [name for name in _ASKED if not asked.get(name)]:
        return f"missing: {', '.join(missing)}"
    if urlsplit(asked["redirect_uri"]).scheme not in ("http", "https"):
        return "redirect_uri: http or https"
    if asked["response_type"] != "code" or asked["code_challenge_method"] != "S256":
        return "response_type must be code, code_challenge_method S256"
    return None if "openid" in asked.get("scope", "").split() else "scope must hold openid"
