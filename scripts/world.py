"""What `make run` tells the service of the world outside: the sandbox, and each provider that it
speaks. What is set already stays."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from payment_service import config
from payment_service.config.reading import is_set
from scripts.own_certificates import MERCHANT, own_certificates
from scripts.own_keys import own_callback_secret

Ports = dict[str, int]
SANDBOX_URLS = (
    "TRIP_SERVICE_URL",
    "DRIVER_SERVICE_URL",
    "RIDER_SERVICE_URL",
    "ORDER_SERVICE_URL",
    "INVENTORY_SERVICE_URL",
    "NOTIFICATION_SERVICE_URL",
    "SANDBOX_PROVIDER_URL",
)

# Keys that the sandbox believes, or signs with: docs/sandbox.md. None is a secret.
DIALECTS = {
    "fib": {"URL": "{sandbox}/fib", "CLIENT_ID": "payments", "CLIENT_SECRET": "sandbox"},
    "fiuu": {
        "MERCHANT_ID": "SB_test",
        "VERIFY_KEY": "vkey",
        "SECRET_KEY": "skey",
        "PAY_URL": "{sandbox}/fiuu",
        "API_URL": "{sandbox}/fiuu",
    },
    "stripe": {
        "API_KEY": "sk_test_sandbox",
        "API_BASE": "{sandbox}/stripe",
        "WEBHOOK_SECRET": "whsec_sandbox_stripe",
        "PUBLISHABLE_KEY": "pk_test_sandbox",
    },
    "zaincash": {
        "URL": "{sandbox}/zaincash",
        "CLIENT_ID": "payments",
        "CLIENT_SECRET": "sandbox",
        "API_KEY": "the-sandbox-signs-as-zaincash-with-this-key",
        "SERVICE_TYPE": "Rides",
    },
}
"""The settings of a provider that the sandbox speaks on its port, without the provider's name."""

FOUR_EYES_ABOVE = "INR=5000.00"
"""So that a refund by one operator and one by two can both be tried."""

ROUTES = {
    "fib": "CARD:IQD=fib",
    "fiuu": "CARD:MYR=fiuu",
    "stripe": "CARD:SEK=stripe",
    "swish": "SWISH:SEK=swish",
    "zaincash": "WALLET:IQD=zaincash",
}
"""Who takes what, beside the usual routes, which lead to the sandbox's own provider."""


def world(ports: Ports, var: Path | None = None) -> dict[str, str]:
    """All that the service needs to reach it and to be reached. Swish is in it where it has a port
    and a `var` in which its certificates are made."""
    sandbox = f"http://127.0.0.1:{ports['SANDBOX_PORT']}"
    found = dict.fromkeys(SANDBOX_URLS, sandbox)
    if keeps_pages(os.environ):
        found |= payers_way(ports) | _dialects(sandbox)
    if var is not None and "SANDBOX_SWISH_PORT" in ports:
        found |= _swish(var, ports)
    return found | {"PROVIDER_ROUTES": _routes(found), "FOUR_EYES_ABOVE": FOUR_EYES_ABOVE}


def unset(defaults: Mapping[str, str]) -> dict[str, str]:
    """Those of them of which the environment says nothing."""
    return {name: value for name, value in defaults.items() if not is_set(name, os.environ)}


def payers_way(ports: Ports) -> dict[str, str]:
    """By which a browser on this machine walks a payer's way, and is led back to the sandbox. For
    where pages are kept."""
    return {
        "PUBLIC_URL": f"http://127.0.0.1:{ports['SERVICE_PORT']}",
        "RETURN_ORIGINS": f"http://127.0.0.1:{ports['SANDBOX_PORT']}",
    }


def _dialects(sandbox: str) -> dict[str, str]:
    """The settings of each provider of which nothing is set."""
    return {
        f"{provider.upper()}_{name}": value.format(sandbox=sandbox)
        for provider, own in DIALECTS.items()
        if not _is_begun(provider)
        for name, value in own.items()
    }


def keeps_pages(environ: Mapping[str, str]) -> bool:
    """Whether what a payer is sent to can be kept, and a payer's browser may be on this machine."""
    return environ.get("APP_ENV") != "production" and is_set("ENCRYPTION_KEYS", environ)


def _is_begun(provider: str) -> bool:
    """Whether anything of the provider is set."""
    names = [field.name for field in dataclasses.fields(config.Settings)]
    own = [name.upper() for name in names if name.startswith(f"{provider}_")]
    return any(is_set(name, os.environ) for name in own)


def _swish(var: Path, ports: Ports) -> dict[str, str]:
    """The sandbox's Swish, and where pages are kept a merchant that it knows, for payments in
    SEK."""
    folder = var / "swish"
    own_certificates(folder)
    of_sandbox = {"SANDBOX_SWISH_DIR": str(folder)}
    if not keeps_pages(os.environ):
        return of_sandbox
    return of_sandbox | {
        "SWISH_API_URL": f"https://127.0.0.1:{ports['SANDBOX_SWISH_PORT']}",
        "SWISH_CERT_PATH": str(folder / "merchant.cert.pem"),
        "SWISH_KEY_PATH": str(folder / "merchant.key.pem"),
        "SWISH_CA_PATH": str(folder / "ca.pem"),
        "SWISH_PAYEE_ALIAS": MERCHANT,
        "SWISH_CALLBACK_SECRET": own_callback_secret(var),
    }


def _routes(found: dict[str, str]) -> str:
    """The usual ones, and those to the providers whose settings were found."""
    prefixes = {name.partition("_")[0].lower() for name in found}
    own = [route for provider, route in ROUTES.items() if provider in prefixes]
    return ",".join([config.look()[0].provider_routes, *own])
