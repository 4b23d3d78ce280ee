"""Which providers there are, and who is asked for a method and a currency. A new provider adds one
line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from payment_service.config import ByProvider, Check, Settings
from payment_service.domain import money
from payment_service.domain.vocabulary import Method, TransactionType
from payment_service.providers.cash import CashProvider
from payment_service.providers.contract import Limits
from payment_service.providers.fib import FibProvider
from payment_service.providers.fiuu import fiuu_of
from payment_service.providers.provider import Provider
from payment_service.providers.sandbox import SandboxProvider
from payment_service.providers.stripe import stripe_of
from payment_service.providers.stripe.transport import is_live
from payment_service.providers.swish import swish_of
from payment_service.providers.zaincash import ZainCashProvider

Builder = Callable[[Settings, Limits], Provider | None]

BUILDERS: dict[str, Builder] = {
    "cash": lambda settings, limits: CashProvider(limits),
    "fib": lambda settings, limits: (
        FibProvider(
            settings.fib_url,
            settings.fib_client_id or "",
            settings.fib_client_secret or "",
            limits,
            public_url=settings.public_url or "",
            page_seconds=settings.action_ttl,
        )
        if settings.fib_url
        else None
    ),
    "fiuu": fiuu_of,
    "sandbox": lambda settings, limits: (
        SandboxProvider(settings.sandbox_provider_url, limits)
        if settings.sandbox_provider_url
        else None
    ),
    "stripe": stripe_of,
    "swish": swish_of,
    "zaincash": lambda settings, limits: (
        ZainCashProvider(
            settings.zaincash_url,
            settings.zaincash_client_id or "",
            settings.zaincash_client_secret or "",
            limits,
            api_key=settings.zaincash_api_key or "",
            service_type=settings.zaincash_service_type or "",
        )
        if settings.zaincash_url
        else None
    ),
}


class Registry:
    """The providers that the settings turn on, and the routes by method and currency."""

    def __init__(self, settings: Settings) -> None:
        self._limits = {name: limits_of(settings, name) for name in BUILDERS}
        self._usual = limits_of(settings, "")
        built = {name: build(settings, self._limits[name]) for name, build in BUILDERS.items()}
        self._providers = {name: found for name, found in built.items() if found is not None}
        self._routes = routes_of(settings.provider_routes)

    def find(self, name: str) -> Provider | None:
        """The provider of that name, in any case, if it is on."""
        return self._providers.get(name.lower())

    def get(self, name: str) -> Provider:
        """The provider of that name, in any case. Raises KeyError if it is off."""
        return self._providers[name.lower()]

    def all(self) -> list[Provider]:
        return list(self._providers.values())

    def limits(self, name: str) -> Limits:
        """How the provider of that name is asked; one that is off has its limits, too, because
        requests to it may be open."""
        return self._limits.get(name.lower(), self._usual)

    def longest_timeout(self) -> float:
        """Seconds that a call may take, whoever is asked."""
        return max(limits.timeout for limits in self._limits.values())

    def charged_by_hand(self, method: str) -> list[Provider]:
        """Those for whose charges of this method a person takes the money."""
        return [
            provider
            for provider in self._providers.values()
            if TransactionType.CHARGE in provider.by_hand and method in provider.methods
        ]

    def by_hand(self) -> list[tuple[str, TransactionType]]:
        """Which requests a person settles, by the provider's name and their type."""
        return [(found.name, kind) for found in self._providers.values() for kind in found.by_hand]

    def route(self, method: str, currency: str) -> list[Provider]:
        """Who is asked, in order; empty if nobody is. A route for the method in this currency goes
        before the method's own."""
        names = self._routes.get((method, currency)) or self._routes.get((method, None), [])
        return [self._providers[name] for name in names if name in self._providers]

    def unrouted(self) -> list[str]:
        """Those that a setting turned on and that no route sends a charge to which they take. Cash
        is none: it is always on."""
        led_to = {
            name
            for (method, code), names in self._routes.items()
            for name in names
            if (found := self._providers.get(name)) and method in found.methods
            if code is None or found.takes(method=method, currency=code)
        }
        return sorted(self._providers.keys() - led_to - {CashProvider.name})

    def routed_but_off(self) -> list[str]:
        """Those that a route names and that are off."""
        named = {name for names in self._routes.values() for name in names}
        return sorted(named - self._providers.keys())


def limits_of(settings: Settings, name: str) -> Limits:
    """What the settings say of the provider of that name."""
    return Limits(
        timeout=settings.provider_timeout_seconds.of(name),
        concurrency=settings.provider_concurrency.of(name),
        settling=settings.provider_settling_seconds.of(name),
        send_window=settings.provider_send_seconds.of(name),
        circuit_fail_max=settings.circuit_fail_max.of(name),
        circuit_reset=settings.circuit_reset_seconds.of(name),
    )


def routes_of(text: str) -> dict[tuple[str, str | None], list[str]]:
    """Reads `CARD:MYR=fiuu,CARD=stripe>sandbox`, by method and currency (None: all others).

    Raises ValueError, saying what it takes.
    """
    routes: dict[tuple[str, str | None], list[str]] = {}
    for place, part in enumerate(text.split(","), start=1):
        what, _, names = part.partition("=")
        method, colon, code = (side.strip() for side in what.upper().partition(":"))
        wanted = [name.strip().lower() for name in names.split(">")]
        if method not in Method.__members__ or not BUILDERS.keys() >= set(wanted):
            raise ValueError(
                f"part {place} must be METHOD=provider, METHOD=provider>provider, or the same with"
                f" METHOD:CURRENCY; methods are {', '.join(Method)}, providers"
                f" {', '.join(BUILDERS)}"
            )
        if colon and code not in money.EXPONENTS:
            raise ValueError(f"part {place} must name an ISO 4217 currency behind the colon")
        key = (method, code if colon else None)
        if key in routes or len(set(wanted)) < len(wanted):
            raise ValueError(f"part {place} names a method or a provider a second time")
        routes[key] = wanted
    return routes


def _known(setting: ByProvider[Any]) -> None:
    if not BUILDERS.keys() >= setting.named.keys():
        raise ValueError(f"must name providers that there are: {', '.join(BUILDERS)}")


CHECKS: dict[str, Check] = {
    "stripe_api_key": lambda key: key is None or is_live(key),
    "provider_routes": routes_of,
    "provider_timeout_seconds": _known,
    "provider_concurrency": _known,
    "provider_settling_seconds": _known,
    "provider_send_seconds": _known,
    "circuit_fail_max": _known,
    "circuit_reset_seconds": _known,
}
"""What only this module can say about settings."""
