"""Operators' single sign-on: where a browser is sent, and whom it comes back with (OpenID Connect,
code flow).

Authlib makes what is sent, and looks at what OpenID Connect asks of an ID token. Its clients are
not used: they ask through a session of their own, without a time-out unless told, keep the
discovery document for ever and never compare its issuer, and with max_age=0 they ask for no
auth_time. So `http` asks, and signature, issuer, audience and times are looked at as those of
callers' tokens are.

Nothing is kept between two log-ins, as they are rare: a key that the issuer withdrew is not
believed a moment longer. The tokens that come are dropped once they are read.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from authlib.oauth2 import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc.errors import ClaimError

from payment_service import http
from payment_service.config import Settings, sso
from payment_service.config.callers import PUBLIC
from payment_service.domain.errors import InvalidToken
from payment_service.domain.operators import Role
from payment_service.identity import claims, discovery, key_sets, tokens
from payment_service.identity.keys import FixedKeys

SECONDS = 3.0
"""For all that is asked of the issuer in one step; somebody looks at an empty page meanwhile."""
AT_ONCE = 4
"""Steps that ask the issuer at one time: few of a process's 48 threads, which charge, so that an
issuer that hangs does not take them; and nobody's operators log in faster than this."""
LONGEST = 65536
"""Characters of an ID token: some list hundreds of groups."""
SCOPES = "openid profile email"


class IssuerAway(Exception):
    """It did not answer in time, or nothing that makes sense. Later it may."""


class NotTrusted(Exception):
    """What came back is nothing to let anybody in for. `reason` is one word. A lie is what the
    issuer itself said; a code is anybody's to send."""

    def __init__(self, reason: str, *, is_lie: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.is_lie = reason, is_lie


@dataclass(frozen=True)
class Journey:
    """What must be the same when the browser comes back. `begun_at` is seconds since 1970; with
    `again` the operator must show anew who he is, though the issuer may know it still."""

    begun_at: int
    again: bool
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True)
class Person:
    """Whom the issuer let in. Known by `subject`; the rest is what the issuer says of him now. No
    `role`: none that means anything here. `proved_at` is when he last showed who he is, if that is
    known."""

    subject: str
    email: str | None
    name: str
    role: Role | None
    proved_at: datetime | None


def new_journey(*, again: bool) -> Journey:
    """With secrets of 256 bits."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    return Journey(int(time.time()), again, state, nonce, verifier)


class SignOn:
    """What one issuer and this service agreed upon."""

    def __init__(self, settings: Settings, seconds: float = SECONDS) -> None:
        self.issuer = settings.operator_sso_issuer or ""
        self._settings, self._seconds = settings, seconds
        self._client_id = settings.operator_sso_client_id or ""
        secret = settings.operator_sso_client_secret or ""
        # RFC 6749 (2.3.1) wants both encoded like a form's fields, which Authlib leaves to us.
        self._client = ClientAuth(quote_plus(self._client_id), quote_plus(secret))
        self._roles = claims.operator_roles(settings.operator_sso_roles)
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def away(self, begun: Journey, back: str) -> str:
        """Where the browser goes to log in; it comes back to the address `back`.

        Raises IssuerAway.
        """
        with self._asking() as until:
            found = discovery.document(self.issuer, until)
            url = discovery.address(found, "authorization_endpoint", self._settings)
        asked = {"prompt": "login", "max_age": "0"} if begun.again else {}
        made: str = prepare_grant_uri(
            url,
            self._client_id,
            "code",
            redirect_uri=back,
            scope=SCOPES,
            state=begun.state,
            nonce=begun.nonce,
            code_challenge=create_s256_code_challenge(begun.verifier),
            code_challenge_method="S256",
            **asked,
        )
        return made

    def person(self, begun: Journey, back: str, code: str) -> Person:
        """Whom the issuer gave this code for. Raises IssuerAway and NotTrusted."""
        with self._asking() as until:
            found = discovery.document(self.issuer, until)
            token = self._exchanged(found, begun, back, code, until)
            url = discovery.address(found, "jwks_uri", self._settings)
            keys = key_sets.of_jwks(discovery.got(url, until).json(), PUBLIC)
        return self._person(self._read(token, FixedKeys(keys), begun), begun)

    @contextmanager
    def _asking(self) -> Iterator[float]:
        """Until when all of it must be done."""
        if not self._places.acquire(blocking=False):
            raise IssuerAway("too many ask it at once")
        try:
            yield time.monotonic() + self._seconds
        except (http.Unreachable, http.Silence, ValueError) as error:
            raise IssuerAway(str(error)) from error
        finally:
            self._places.release()

    def _exchanged(
        self, found: Mapping[str, Any], begun: Journey, back: str, code: str, until: float
    ) -> str:
        """The ID token that this code stands for."""
        url = discovery.address(found, "token_endpoint", self._settings)
        form = prepare_token_request(
            "authorization_code", redirect_uri=back, code=code, code_verifier=begun.verifier
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        url, headers, form = self._client.prepare("POST", url, headers, form)
        answer = http.call(
            "POST", url, timeout=discovery.left(until), data=form.encode(), headers=headers
        )
        said: Any = answer.json()
        body: Mapping[str, Any] = said if isinstance(said, dict) else {}
        if body.get("error") == "invalid_grant":
            raise NotTrusted("code", is_lie=False)
        token = body.get("id_token")
        if answer.status != 200 or not isinstance(token, str):
            # 401 where it does not know this service by its id and secret.
            raise ValueError(f"the issuer answered {answer.status} and no ID token")
        return token

    def _read(self, token: str, keys: FixedKeys, begun: Journey) -> Mapping[str, Any]:
        """The claims of an ID token that is good."""
        asked = {
            "audience": self._client_id,
            "issuer": self.issuer,
            "leeway": self._settings.jwt_leeway_seconds,
            "options": {"require": ["exp", "iat", "sub", "aud", "iss"]},
        }
        try:
            _, said = tokens.verified(token, keys, PUBLIC, asked, types=("jwt",), longest=LONGEST)
            expected = {"nonce": begun.nonce, "client_id": self._client_id}
            CodeIDToken(said, {}, params=expected).validate(leeway=asked["leeway"])
        except InvalidToken as error:
            raise NotTrusted(str(error.members["reason"])) from None
        except ClaimError as error:
            raise NotTrusted(error.claim) from None
        return said

    def _person(self, said: Mapping[str, Any], begun: Journey) -> Person:
        subject: str = said["sub"]
        if not 1 <= len(subject) <= 255 or not subject.isprintable():
            raise NotTrusted("sub")
        proved_at = self._proved_at(said.get("auth_time"))
        needed = begun.begun_at - self._settings.jwt_leeway_seconds
        if begun.again and (proved_at is None or proved_at.timestamp() < needed):
            raise NotTrusted("auth_time")
        email = said.get("email")
        names = (said.get("name"), said.get("preferred_username"), email, subject)
        try:
            role = claims.operator_role(said, self._settings.operator_sso_role_claim, self._roles)
        except InvalidToken:
            raise NotTrusted("roles") from None
        return Person(
            subject=subject,
            email=email if isinstance(email, str) else None,
            name=next(name for name in map(_shown, names) if name),
            role=role,
            proved_at=proved_at,
        )

    def _proved_at(self, auth_time: Any) -> datetime | None:
        if auth_time is None:
            return None
        latest = time.time() + self._settings.jwt_leeway_seconds
        if type(auth_time) not in (int, float) or not 0 <= auth_time <= latest:
            raise NotTrusted("auth_time")
        return datetime.fromtimestamp(auth_time, UTC)


def sign_on_of(settings: Settings) -> SignOn | None:
    """None where operators come in by password only."""
    return SignOn(settings) if sso.is_on(settings) else None


def _shown(name: object) -> str:
    """As much of it as fits into a line; "" if it is none."""
    return "".join(filter(str.isprintable, name)).strip()[:100] if isinstance(name, str) else ""
