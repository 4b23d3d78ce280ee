"""Which settings operators' single sign-on needs. What is missing is told at the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.config.reading import Faults

if TYPE_CHECKING:
    from payment_service.config import Settings

NEEDED = (
    "operator_sso_issuer",
    "operator_sso_client_id",
    "operator_sso_client_secret",
    "operator_sso_roles",
    "secret_key",  # by which the cookie is signed that goes to the issuer and back
)


def is_on(found: Settings) -> bool:
    """Whether operators may come in by it."""
    return found.operator_login in ("sso", "both")


def faults(found: Settings, wrong: Faults) -> Faults:
    """What is missing where operators come in by single sign-on. A rule for config.load."""
    if not is_on(found):
        return {}
    return {
        name.upper(): [f"missing; OPERATOR_LOGIN={found.operator_login} needs it"]
        for name in NEEDED
        if not getattr(found, name)
    }
