"""The identity service, under /identity: discovery, keys, and tokens for whoever names itself or
picked a person (people.py)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from payment_service.sandbox.behaviours import Do, answered
from payment_service.sandbox.faults import Ask, Whim
from payment_service.sandbox.replies import reply
from payment_service.sandbox.state import the_state

identity = Blueprint("identity", __name__)

AUDIENCE = "payment-service"
ALL = "payments:read payments:write refunds:write payments:admin"
SECONDS = 300
LONGEST_SECONDS = 24 * 3600


def _issuer() -> str:
    return f"{request.host_url}identity"


@identity.get("/identity/.well-known/openid-configuration")
def discovery() -> Response:
    """Where everything is."""

    def do(whim: Whim) -> Response:
        found = {
            "issuer": _issuer(),
            "jwks_uri": f"{_issuer()}/keys",
            "authorization_endpoint": f"{_issuer()}/authorize",
            "token_endpoint": f"{_issuer()}/token",
            "grant_types_supported": ["authorization_code", "client_credentials"],
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        return reply(200, found)

    return _answered("discovery", do)


@identity.get("/identity/keys")
def keys() -> Response:
    """The keys as a JWKS."""
    state = the_state()
    return _answered("keys", lambda whim: reply(200, {"keys": state.signing_keys.served()}))


@identity.post("/identity/token")
def token() -> Response:
    """A token by client_credentials, or those that a code stands for. Whatever the client is called
    and whatever its secret is."""
    form, basic = request.form, request.authorization
    client_id = (basic.username if basic else None) or form.get("client_id")
    secret = (basic.password if basic else None) or form.get("client_secret")

    def do(whim: Whim) -> Response:
        if not client_id or not secret:
            return reply(401, {"error": "invalid_client"})
        if form.get("grant_type") == "client_credentials":
            return _of_client(client_id)
        if form.get("grant_type") == "authorization_code":
            return _of_code(client_id)
        return reply(400, {"error": "unsupported_grant_type"})

    return _answered("token", do)


def _of_client(client_id: str) -> Response:
    """An access token whose `sub` is the client's name. `scope`, `audience`, `role` and `seconds`
    may be said."""
    form = request.form
    seconds = form.get("seconds", SECONDS, type=int)
    if not 0 < seconds <= LONGEST_SECONDS:
        return reply(400, {"error": "invalid_request"})
    scope = form.get("scope", "" if "role" in form else ALL)
    claims = {
        "sub": client_id,
        "aud": form.get("audience", AUDIENCE),
        "scope": scope,
        **({"role": form["role"]} if "role" in form else {}),
    }
    return reply(200, {**_access(claims, seconds), "scope": scope})


def _of_code(client_id: str) -> Response:
    """An ID token of the person who was picked, and an access token that says no more than who it
    is."""
    names = {"code": "code", "redirect_uri": "redirect_uri", "verifier": "code_verifier"}
    said = {name: request.form.get(field, "") for name, field in names.items()}
    picked = the_state().codes.take(client_id=client_id, **said)
    if picked is None:
        return reply(400, {"error": "invalid_grant"})
    claims = {"iss": _issuer(), **picked.claims()}
    made = the_state().signing_keys.sign(claims, SECONDS, kind="JWT")
    return reply(200, {**_access({"sub": picked.subject}, SECONDS), "id_token": made})


def _access(claims: dict[str, Any], seconds: int) -> dict[str, Any]:
    made = the_state().signing_keys.sign({"iss": _issuer(), **claims}, seconds)
    return {"access_token": made, "token_type": "Bearer", "expires_in": seconds}


@identity.post("/sandbox/identity/rotate")
def rotate() -> BaseResponse:
    """A new key signs from now on. `withdraw=1` in the form serves the old one no longer."""
    kids = the_state().signing_keys.rotate(withdraw=bool(request.form.get("withdraw")))
    if "back" in request.form:
        return redirect(url_for("page.overview"), 303)
    return reply(200, {"kids": kids})


def _answered(operation: str, do: Do) -> Response:
    ask = Ask(operation, request.method, request.path, {"http_method": request.method})
    return answered(the_state(), ask, do)
