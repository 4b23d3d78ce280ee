"""The five providers beside the sandbox's own: which of them a campaign has, and what the service
and the sandbox must be told for them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.campaign.dialects.dialect import Dialect
from tests.campaign.dialects.fib import Fib
from tests.campaign.dialects.fiuu import Fiuu
from tests.campaign.dialects.stripe import Stripe
from tests.campaign.dialects.swish import Swish
from tests.campaign.dialects.zaincash import ZainCash
from tests.sandbox_server import Sandbox

DIALECTS: dict[str, Dialect] = {
    one.name: one for one in (Stripe(), Swish(), Fiuu(), ZainCash(), Fib())
}
OWN = "sandbox"
"""The sandbox's own provider is in each campaign: kills at boundaries are made at it."""
SHARE = 0.5
"""Of the charges and holds for orders, those that go to the others."""

_ROUTES = "CARD=sandbox,WALLET=sandbox,UPI=sandbox,NET_BANKING=sandbox,CASH=cash"
_SECRETS = {
    "ENCRYPTION_KEYS": "k1:b5pBd0mR8sYw3vQe7uXz1kLj9hGf2nTc4aWq6iOlPrU=",
    "SECRET_KEY": "of-the-campaign-and-of-nothing-else",
}


def chosen(names: str) -> list[Dialect]:
    """Those that are named, with a comma between; all for an empty text. Raises ValueError."""
    if not names:
        return list(DIALECTS.values())
    wanted = [name.strip().lower() for name in names.split(",")]
    if unknown := set(wanted) - DIALECTS.keys() - {OWN}:
        known = ", ".join((OWN, *DIALECTS))
        raise ValueError(f"no providers: {', '.join(sorted(unknown))}; there are {known}")
    return [DIALECTS[name] for name in wanted if name != OWN]


def drawn(some: Sequence[Dialect], rng: random.Random, *, hold: bool) -> Dialect | None:
    """Who is charged next; None for the sandbox's own."""
    fitting = [one for one in some if one.holds or not hold]
    return rng.choice(fitting) if fitting and rng.random() < SHARE else None


def of_service(some: Sequence[Dialect], sandbox: Sandbox, url: str) -> dict[str, str]:
    """Settings of the service that listens at `url`."""
    routes = {"PROVIDER_ROUTES": ",".join([_ROUTES, *(one.route for one in some)])}
    own = [one.settings(sandbox) for one in some]
    # A dinar is little: a thousand of them are less than a dollar.
    whole = {"PUBLIC_URL": url, "MAX_AMOUNT": "100000.00,IQD=10000000"}
    return {name: value for part in (_SECRETS, routes, whole, *own) for name, value in part.items()}


def of_sandbox(sandbox: Sandbox, url: str) -> dict[str, str]:
    """Settings of the sandbox whose webhooks go to the service at `url`."""
    return {
        "SANDBOX_WEBHOOK_URL": f"{url}/v1/webhooks",
        "SANDBOX_REQUESTS": str(sandbox.directory / "requests.jsonl"),
    }


__all__ = ["DIALECTS", "Dialect", "chosen", "drawn", "of_sandbox", "of_service"]
