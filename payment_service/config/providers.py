"""Which settings a provider needs together. What is missing is told at the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.config.reading import Faults

if TYPE_CHECKING:
    from payment_service.config import Settings

TOGETHER: dict[str, tuple[str, ...]] = {
    "fib": ("fib_url", "fib_client_id", "fib_client_secret"),
    "fiuu": (
        "fiuu_merchant_id",
        "fiuu_verify_key",
        "fiuu_secret_key",
        "fiuu_pay_url",
        "fiuu_api_url",
    ),
    "stripe": ("stripe_api_key",),
    "swish": (
        "swish_api_url",
        "swish_cert_path",
        "swish_key_path",
        "swish_payee_alias",
        "swish_callback_secret",
    ),
    "zaincash": (
        "zaincash_url",
        "zaincash_client_id",
        "zaincash_client_secret",
        "zaincash_api_key",
        "zaincash_service_type",
    ),
}
"""All of them, or none."""

REACHED = frozenset({"fib", "fiuu", "swish", "zaincash"})
"""Those that need PUBLIC_URL: their payers come back to us, and their news come in there."""

CALLING = frozenset({"fib", "fiuu", "stripe", "swish", "zaincash"})
"""Those that need ENCRYPTION_KEYS: they have webhooks, whose bodies are kept encrypted."""


def faults(found: Settings, wrong: Faults) -> Faults:
    """A rule for config.load."""
    told: Faults = {}
    calling = []
    for provider, own in TOGETHER.items():
        given = [name for name in own if getattr(found, name)]
        if not given:
            continue
        needed = (*own, "public_url") if provider in REACHED else own
        for name in needed:
            if not getattr(found, name) and name.upper() not in wrong:
                told.setdefault(name.upper(), [f"missing; {given[0].upper()} needs it"])
        if provider in CALLING:
            calling.append(provider)
    if calling and not found.encryption_keys and "ENCRYPTION_KEYS" not in wrong:
        told["ENCRYPTION_KEYS"] = [f"missing; webhooks of {', '.join(calling)} are kept encrypted"]
    return told
