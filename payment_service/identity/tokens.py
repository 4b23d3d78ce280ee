"""Whether a bearer token is good, by PyJWT; and which ones were, not long ago."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt

from payment_service.config import Settings, callers
from payment_service.domain.errors import InvalidToken
from payment_service.identity.claims import Bearer, bearer_of, meanings
from payment_service.identity.key_sets import KeySet
from payment_service.identity.keys import Keys, keys_of
from payment_service.json_objects import each_once

LONGEST = 8000
"""Characters. A header line of more does not come through gunicorn."""
REMEMBERED = 10_000
"""Tokens. Some 5 MB; the callers of a platform are fewer, and its riders are not all at once."""
REMEMBERED_SECONDS = 60.0
"""How much longer a token may pass than its key is trusted."""
LATEST = 253402300800
"""Seconds since 1970 at the end of the year 9999. A token that is good for longer is a mistake."""

_THREE_PARTS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z", re.ASCII)
_TYPES = ("jwt", "at+jwt", "application/at+jwt")
_OF_ID_TOKENS = ("nonce", "at_hash")
_TIMES = ("exp", "nbf", "iat")

_SAYS: Mapping[str, str] = {
    "malformed": "the token can't be read",
    "type": "the token is no access token",
    "untrusted": "the token is not signed by a key that is trusted here",
    "expired": "the token's time is over",
    "early": "the token is not good yet",
    "audience": "the token is not for this service",
    "issuer": "the token is from another issuer",
    "subject": "sub is not a text",
    "missing": "send a token, as Authorization: Bearer ...",
    "claims": "exp, sub and aud must be there, and times must be numbers",
}
# The first that fits.
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.ImmatureSignatureError, "early"),
    (jwt.InvalidAudienceError, "audience"),
    (jwt.InvalidIssuerError, "issuer"),
    (jwt.exceptions.InvalidSubjectError, "subject"),
    (jwt.MissingRequiredClaimError, "claims"),
    (jwt.InvalidSignatureError, "untrusted"),
)


class _Strict(jwt.PyJWT):
    """PyJWT, but that a claim stands once and times are numbers within reason."""

    def _decode_payload(self, decoded: dict[str, Any]) -> dict[str, Any]:
        return _claims(decoded["payload"])


_JWT = _Strict()


class Tokens:
    """Tokens by one set of keys. `clock` is seconds that only go forward."""

    def __init__(
        self, settings: Settings, keys: Keys, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.keys = keys
        self._clock = clock
        self._means = meanings(settings)
        self._algorithms = callers.algorithms(settings)
        self._asked: dict[str, Any] = {
            "audience": settings.jwt_audience,
            "issuer": settings.jwt_issuer,
            "leeway": settings.jwt_leeway_seconds,
            "options": {"require": ["exp", "sub", "aud"]},
        }
        self._passed = _Passed(None)

    def bearer(self, token: str) -> Bearer:
        """Who holds it. Raises InvalidToken with a `reason`, and KeysUnavailable."""
        digest = hashlib.sha256(token.encode()).digest()
        passed = self._passed
        if passed.keys is self.keys.at_hand:
            found = passed.get(digest, self._clock())
            if found is not None:
                return found
        return self._verified(token, digest)

    def _verified(self, token: str, digest: bytes) -> Bearer:
        trusted, claims = verified(token, self.keys, self._algorithms, self._asked)
        if str(claims.get("typ", "")).lower() == "id" or set(_OF_ID_TOKENS) & claims.keys():
            raise refused("type")
        bearer = bearer_of(claims, self._means)
        self._remember(trusted, digest, bearer, claims["exp"] - time.time())
        return bearer

    def _remember(self, trusted: KeySet, digest: bytes, bearer: Bearer, left: float) -> None:
        """What passed by a set of keys is forgotten with it."""
        passed = self._passed
        if passed.keys is not trusted:
            passed = self._passed = _Passed(trusted)
        if left > 0:
            passed.put(digest, bearer, self._clock() + min(left, REMEMBERED_SECONDS))


class _Passed:
    """Tokens that passed by these keys, each until its time; the oldest go first."""

    def __init__(self, keys: KeySet | None) -> None:
        self.keys = keys
        self._until: dict[bytes, tuple[Bearer, float]] = {}
        self._writing = threading.Lock()

    def get(self, digest: bytes, now: float) -> Bearer | None:
        found = self._until.get(digest)
        return found[0] if found is not None and now < found[1] else None

    def put(self, digest: bytes, bearer: Bearer, until: float) -> None:
        with self._writing:
            self._until.pop(digest, None)
            if len(self._until) >= REMEMBERED:
                del self._until[next(iter(self._until))]
            self._until[digest] = bearer, until


def verified(
    token: str,
    keys: Keys,
    algorithms: tuple[str, ...],
    asked: Mapping[str, Any],
    *,
    types: tuple[str, ...] = _TYPES,
    longest: int = LONGEST,
) -> tuple[KeySet, dict[str, Any]]:
    """All keys that are trusted, and the claims of a token that one of them signed, if they are as
    `asked`, in jwt.decode's words. Raises InvalidToken with a `reason`, and KeysUnavailable."""
    header = _header(token, types, longest)
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in algorithms or not isinstance(kid, str | None):
        raise refused("untrusted")
    trusted, fitting = keys.find(kid, algorithm)
    error = refused("untrusted")
    for key in fitting:
        try:
            return trusted, _JWT.decode(token, key.material, algorithms=[algorithm], **asked)
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as raised:
            error = refused(_reason(raised))
            if not isinstance(raised, jwt.InvalidSignatureError):
                raise error from None
    raise error


def tokens_of(settings: Settings) -> Tokens | None:
    """What verifies tokens; None with AUTH_MODE=off."""
    return None if settings.auth_mode == "off" else Tokens(settings, keys_of(settings))


def refused(reason: str) -> InvalidToken:
    return InvalidToken(_SAYS[reason], reason=reason)


def _reason(error: Exception) -> str:
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "malformed")


def _header(token: str, types: tuple[str, ...], longest: int) -> dict[str, Any]:
    """The header, as far as it may decide anything: its `jku`, `x5u` and `jwk` are never looked at.

    Raises InvalidToken.
    """
    if len(token) > longest or not _THREE_PARTS.match(token):
        raise refused("malformed")
    part = token.partition(".")[0]
    try:
        header = _object(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        raise refused("malformed") from None
    if str(header.get("typ", "JWT")).lower() not in types:
        raise refused("type")
    if "crit" in header or header.get("b64") is False:
        raise refused("malformed")  # it asks for what is not done here
    return header


def _claims(payload: bytes) -> dict[str, Any]:
    """Raises PyJWT's errors."""
    try:
        claims = _object(payload)
    except ValueError:
        raise jwt.DecodeError("no object of claims, each once") from None
    for name in _TIMES:
        value = claims.get(name, 0)
        if type(value) not in (int, float) or not 0 <= value <= LATEST:
            raise jwt.MissingRequiredClaimError(name)
    return claims


def _object(data: bytes) -> dict[str, Any]:
    """JSON of one object without a member twice. Raises ValueError."""
    try:
        found = json.loads(data.decode(), object_pairs_hook=each_once)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found
