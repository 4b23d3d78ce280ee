"""Whether operators come in by password, and whether their log-ins need a second factor."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from payment_service.config import Settings


def second_factor_is_required(found: Settings) -> bool:
    """Of all but viewers: in production, unless OPERATOR_MFA says otherwise."""
    return (found.operator_mfa or _usual(found)) == "required"


def _usual(found: Settings) -> str:
    return "required" if found.app_env == "production" else "optional"


def password_lets_in(found: Settings) -> bool:
    """Whether operators come in by password. Where they do not, sessions that were begun by one are
    over, too: stepping up by password would prolong them for ever."""
    return found.operator_login != "sso"
