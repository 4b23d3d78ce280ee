"""What the claims of a good token say: the caller's name, its scopes, and whether it is a rider."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from payment_service.config import Settings
from payment_service.domain.callers import Scope, is_reserved
from payment_service.domain.errors import InvalidToken
from payment_service.domain.operators import Role

Claims = Mapping[str, Any]

RIDER = "rider"
"""The role that sees its own payments only."""
_ROLES = ("roles", "role")
"""Where that role counts, wherever scopes come from: it takes rights away."""

_IS_RIDER = re.compile(rf"(role[_:-])?{RIDER}\Z", re.IGNORECASE)
_SPEAKS_OF_RIDERS = re.compile(rf"(?<![a-z]){RIDER}(?![a-z])", re.IGNORECASE)

_NAME = re.compile(r"[!-~]{1,255}\Z", re.ASCII)
_NUMBER = re.compile(r"[1-9][0-9]{0,18}\Z", re.ASCII)
_LARGEST = 2**63 - 1  # of PostgreSQL's bigint


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who holds a token, and what it allows. A rider's `rider_id` is None where the token does not
    say which one it is."""

    name: str
    scopes: frozenset[Scope]
    is_rider: bool = False
    rider_id: int | None = None


@dataclass(frozen=True)
class Meanings:
    """Where in a token its scopes and its rider stand, and which scopes a role has."""

    scope_claims: tuple[str, ...]
    rider_claim: str
    of_role: Mapping[str, frozenset[Scope]] = field(default_factory=dict)


def meanings(settings: Settings) -> Meanings:
    """As the JWT_ settings have them."""
    of_role = role_scopes(settings.jwt_role_scopes)
    return Meanings(settings.jwt_scope_claims, settings.jwt_rider_claim, of_role)


def role_scopes(text: str | None) -> Mapping[str, frozenset[Scope]]:
    """JWT_ROLE_SCOPES, read. Raises ValueError."""
    known = {str(scope): scope for scope in Scope}
    found: dict[str, frozenset[Scope]] = {}
    for part in text.split(",") if text else ():
        role, _, named = (side.strip() for side in part.partition("="))
        words = named.split()
        if not role or role in found or not words or not set(words) <= known.keys():
            raise ValueError(
                "must be role=scope, or several as in support=payments:read,finance=payments:read"
                f" refunds:write, each role once; the scopes are {', '.join(known)}"
            )
        found[role] = frozenset(known[word] for word in words)
    return found


def operator_roles(text: str | None) -> Mapping[str, Role]:
    """OPERATOR_SSO_ROLES, read. Raises ValueError."""
    known = {str(role): role for role in Role}
    found: dict[str, Role] = {}
    for part in text.split(",") if text else ():
        named, _, role = (side.strip() for side in part.rpartition("="))
        if not named or named in found or role not in known:
            raise ValueError(
                "must be name=role, or several as in payments-operator=operator,"
                f"payments-admin=admin, each name once; the roles are {', '.join(known)}"
            )
        found[named] = known[role]
    return found


def operator_role(claims: Claims, place: str, of_name: Mapping[str, Role]) -> Role | None:
    """The one that may do most of those that the names in this claim stand for; None if none of
    them stands for any."""
    found = {of_name[word] for word in _words(claims, [place]) if word in of_name}
    return max(found, key=list(Role).index, default=None)


def bearer_of(claims: Claims, means: Meanings) -> Bearer:
    """Raises InvalidToken where `sub` can't be a caller's name, and where scopes or roles are
    written in a way that is not understood: a rider must not pass for a service."""
    name = _name(claims.get("sub"))
    words = set(_words(claims, means.scope_claims))
    roles = words | set(_words(claims, _ROLES))
    if any(map(_IS_RIDER.match, roles)):
        return Bearer(name, frozenset({Scope.READ}), True, _number(_at(claims, means.rider_claim)))
    if any(map(_SPEAKS_OF_RIDERS.search, roles - means.of_role.keys())):
        raise _unclear("a role has rider in its name, and is not the role rider")
    scopes = frozenset(scope for scope in Scope if scope in words)
    return Bearer(name, scopes.union(*(means.of_role.get(word, ()) for word in words)))


def _name(sub: object) -> str:
    if not isinstance(sub, str) or not _NAME.match(sub):
        raise InvalidToken("sub must be 1 to 255 visible ASCII characters", reason="subject")
    if is_reserved(sub):
        raise InvalidToken("sub is a name that means somebody else here", reason="subject")
    return sub


def _number(value: object) -> int | None:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(text) if _NUMBER.match(text) and int(text) <= _LARGEST else None


def _words(claims: Claims, places: Iterable[str]) -> Iterable[str]:
    """The words of all these claims: a list's, or those of a text with blanks between. Raises
    InvalidToken for a claim that is neither."""
    for place in places:
        value = _at(claims, place)
        words = value.split() if isinstance(value, str) else [] if value is None else value
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise _unclear(f"{place} must be a text, or a list of texts")
        yield from words


def _at(claims: Claims, place: str) -> Any:
    """The claim of that name; else what the dots lead to (some names are addresses, with dots).
    Raises InvalidToken where they lead into something that is no object."""
    if place in claims:
        return claims[place]
    value: Any = claims
    for name in place.split("."):
        if value is None:
            return None
        if not isinstance(value, dict):
            raise _unclear(f"{place} must lead through objects")
        value = value.get(name)
    return value


def _unclear(says: str) -> InvalidToken:
    return InvalidToken(says, reason="claims")
