"""Who calls: bearer tokens, the keys by which they are verified, what they allow."""

from __future__ import annotations

from payment_service.config import Check
from payment_service.identity import claims, key_sets

CHECKS: dict[str, Check] = {
    "jwt_public_key": lambda text: text and key_sets.of_pem(text, key_sets.ALL),
    "jwt_role_scopes": claims.role_scopes,
    "operator_sso_roles": claims.operator_roles,
}
"""What settings must be that only this package can read. For config.load."""
