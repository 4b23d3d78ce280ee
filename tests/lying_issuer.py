"""An issuer of operators' single sign-on that says whatever a test wants, over real HTTP."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from secrets import token_urlsafe
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask, Response, jsonify, redirect, request
from jwt.algorithms import RSAAlgorithm
from werkzeug.wrappers import Response as BaseResponse

from tests.browsing import serving
from tests.patience import PATIENCE

PANEL = ("payments-panel", "a-secret-of-the-panel")
KEY, OTHER_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in "ab")


class LyingIssuer:
    """Lets everybody in at once, as `subject`. All below is True to OpenID Connect until a test
    changes it; `honest` makes it so again."""

    def __init__(self) -> None:
        self.url = ""
        self.honest()

    def honest(self) -> None:
        self.subject = "somebody"
        self.roles: list[str] = ["payments-operator"]
        self.claims: dict[str, Any] = {}
        """Instead of those of the ID token; None leaves one out."""
        self.header: dict[str, Any] = {"kid": "one", "typ": "JWT"}
        self.key: Any = KEY
        self.algorithm = "RS256"
        self.document: dict[str, Any] = {}
        """Instead of members of the discovery document."""
        self.back: dict[str, str] = {}
        """Instead of parameters with which the browser is sent back."""
        self.forgetful = False
        """A code works again and again, without PKCE."""
        self.instead: dict[str, tuple[int, str]] = {}
        """A status and a body instead of the answer at a path."""
        self.hung = threading.Event()
        self.hung.set()
        """While it is not set, nothing is answered."""
        self.waiting = 0
        self.asked: list[dict[str, str]] = []
        """Queries of /authorize and forms of /token."""
        self.made: list[str] = []
        """All tokens and codes."""
        self._codes: dict[str, dict[str, str]] = {}

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """It answers nobody in the block, and who has asked as soon as the block ends."""
        self.hung.clear()
        try:
            yield
        finally:
            self.hung.set()

    def discovered(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            **self.document,
        }

    def authorize(self) -> BaseResponse:
        asked = request.args.to_dict()
        self.asked.append(asked)
        code = token_urlsafe(16)
        self._codes[code] = asked
        self.made.append(code)
        back = {"code": code, "state": asked["state"], "iss": self.url} | self.back
        return redirect(f"{asked['redirect_uri']}?{urlencode(back)}")

    def token(self) -> Any:
        form, who = request.form.to_dict(), request.authorization
        self.asked.append(form)
        assert who is not None
        assert (who.username, who.password) == PANEL
        keep = self.forgetful
        asked = self._codes.get(form["code"]) if keep else self._codes.pop(form["code"], None)
        if asked is None:
            return jsonify(error="invalid_grant"), 400
        return jsonify(access_token=self._kept("an-access-token"), id_token=self._id_token(asked))

    def keys(self) -> dict[str, Any]:
        jwk = RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
        return {"keys": [{**jwk, "kid": "one", "use": "sig"}]}

    def _id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        said = {
            "iss": self.url,
            "sub": self.subject,
            "aud": asked["client_id"],
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "nonce": asked["nonce"],
            "email": f"{self.subject}@example.com",
            "name": self.subject.capitalize(),
            "roles": self.roles,
        } | self.claims
        said = {name: value for name, value in said.items() if value is not None}
        return self._kept(jwt.encode(said, self.key, self.algorithm, headers=self.header))

    def _kept(self, token: str) -> str:
        self.made.append(token)
        return token

    def app(self) -> Flask:
        app = Flask(__name__)

        @app.before_request
        def hang() -> Response | None:
            self.waiting += 1
            self.hung.wait(PATIENCE)
            if request.path in self.instead:
                status, body = self.instead[request.path]
                return Response(body, status)
            return None

        app.add_url_rule("/.well-known/openid-configuration", view_func=self.discovered)
        app.add_url_rule("/authorize", view_func=self.authorize)
        app.add_url_rule("/token", view_func=self.token, methods=["POST"])
        app.add_url_rule("/keys", view_func=self.keys)
        return app


@contextlib.contextmanager
def lying_issuer() -> Iterator[LyingIssuer]:
    issuer = LyingIssuer()
    with serving(issuer.app()) as issuer.url:
        try:
            yield issuer
        finally:
            issuer.hung.set()
