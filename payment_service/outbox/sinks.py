"""The sinks that this app has open, made at first use."""

from __future__ import annotations

import threading

from flask import current_app

from payment_service.config import settings
from payment_service.outbox.contract import Sink
from payment_service.outbox.http_sinks import HttpSink
from payment_service.outbox.rabbitmq import RabbitMQ
from payment_service.outbox.routes import ROUTES

_MAKING = threading.Lock()


def get(name: str) -> Sink | None:
    """The sink, or None if it is off. Raises StopIteration for a name that no route has."""
    url = next(route for route in ROUTES if route.sink == name).on(settings())
    if not url:
        return None
    with _MAKING:
        made: dict[str, Sink] = current_app.extensions.setdefault("sinks", {})
        if name not in made:
            made[name] = (
                RabbitMQ(url, settings().outbox_timeout_seconds)
                if name == "rabbitmq"
                else HttpSink(name, url, settings())
            )
        return made[name]


def close() -> None:
    """Lets go of all connections of this app's sinks."""
    for sink in current_app.extensions.get("sinks", {}).values():
        sink.close()
