"""Who hears what. A sister service that wants an event adds one row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from payment_service.config import Settings


@dataclass(frozen=True)
class Route:
    """A sink, the setting that turns it on, and the events that it hears (None: all)."""

    sink: str
    on: Callable[[Settings], str | None]
    events: frozenset[str] | None = None


MONEY_NEWS = frozenset(
    {
        "payment.succeeded",
        "payment.failed",
        "payment.authorized",
        "payment.cancelled",
        "payment.expired",
        "payment.refunded",
        "payment.partially_refunded",
    }
)

ROUTES = (
    Route("rabbitmq", lambda s: s.rabbitmq_url),
    Route("order", lambda s: s.order_service_url, MONEY_NEWS),
    Route(
        "inventory",
        lambda s: s.inventory_service_url,
        frozenset({"payment.failed", "payment.refunded"}),
    ),
    Route("notification", lambda s: s.notification_service_url, MONEY_NEWS),
    Route("trip", lambda s: s.trip_events_url, MONEY_NEWS),
    Route("driver", lambda s: s.driver_service_url, MONEY_NEWS),
)


def sinks_for(event_type: str, settings: Settings) -> list[str]:
    """The sinks that are on and hear this event."""
    return [
        route.sink
        for route in ROUTES
        if route.on(settings) and (route.events is None or event_type in route.events)
    ]
