"""Who hears what. A sister service that wants an event adds one row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from payment_service.config import Settings


@dataclass(frozen=True)
class Route:
    """A sink, the setting that turns it on, and the events that it hears (None: all).

    `needs` is the id without which the sink could not be told: an event of a payment that has
    none is not owed to it.
    """

    sink: str
    setting: str
    events: frozenset[str] | None = None
    needs: str | None = None

    def on(self, settings: Settings) -> str | None:
        """Where the sink is, None if it is off."""
        found: str | None = getattr(settings, self.setting)
        return found


STATUS_NEWS = frozenset(
    {
        "payment.succeeded",
        "payment.failed",
        "payment.authorized",
        "payment.cancelled",
        "payment.expired",
        "payment.refunded",
        "payment.partially_refunded",
        "payment.refund_taken_back",
    }
)

ROUTES = (
    Route("rabbitmq", "rabbitmq_url"),
    Route("order", "order_service_url", STATUS_NEWS, needs="order_id"),
    Route(
        "inventory",
        "inventory_service_url",
        frozenset({"payment.failed", "payment.refunded"}),
    ),
    Route("notification", "notification_service_url", STATUS_NEWS),
    # Not TRIP_SERVICE_URL: a trip service that is asked for fares need not take payment news.
    Route("trip", "trip_status_service_url", STATUS_NEWS, needs="trip_id"),
    Route("driver", "driver_service_url", STATUS_NEWS, needs="driver_id"),
    Route("rider", "rider_service_url", STATUS_NEWS, needs="rider_id"),
)

SINKS = tuple(route.sink for route in ROUTES)


def sinks_for(event_type: str, payment: Mapping[str, Any], settings: Settings) -> list[str]:
    """The sinks that are on and are owed this event of this payment."""
    return [
        route.sink
        for route in ROUTES
        if route.on(settings)
        and (route.events is None or event_type in route.events)
        and (route.needs is None or payment[route.needs] is not None)
    ]


def sinks_on(settings: Settings) -> list[str]:
    """The sinks that are on."""
    return [route.sink for route in ROUTES if route.on(settings)]
