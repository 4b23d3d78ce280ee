"""The sister services: each event is one HTTP call, and any 2xx means that they have it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from payment_service import http
from payment_service.config import Settings
from payment_service.domain import jsontext
from payment_service.outbox import notes, signing
from payment_service.outbox.contract import DeliveryEnding, LeasedDelivery
from payment_service.outbox.traced import note
from payment_service.telemetry import traces

CONCURRENCY = 16
"""Calls at a time per relay and sink, each of another payment: a service that takes 20 ms heard 290
events a second with eight; one that takes 2 s still hears 8, and one that died is not stormed."""

ROUNDS = 4
"""A batch is this many rounds of calls: all of it done in 20 s at worst with the default time-out,
within the 30 s that Kubernetes leaves to a worker that must end."""

GIVE_UP_AFTER = 8
"""Failures in a row after which the rest of the batch is given back untried."""

CloudEvent = dict[str, Any]


@dataclass(frozen=True)
class SinkRequest:
    """One request; the path is added to the service's URL."""

    method: str
    path: str
    body: dict[str, Any]


def _payment_news(name: str, event: CloudEvent) -> dict[str, Any]:
    return {"id": event["id"], "type": name, "time": event["time"], **event["data"]}


def _status_of(things: str, id_name: str) -> Callable[[str, CloudEvent], SinkRequest]:
    def call(name: str, event: CloudEvent) -> SinkRequest:
        path = f"/v1/{things}/{event['data'][id_name]}/payment-status"
        return SinkRequest("PATCH", path, _payment_news(name, event))

    return call


def _release(name: str, event: CloudEvent) -> SinkRequest:
    return SinkRequest("POST", "/v1/inventory/release", _payment_news(name, event))


def _notify(name: str, event: CloudEvent) -> SinkRequest:
    data = event["data"]
    copied = {key: data[key] for key in ("payment_id", "rider_id", "driver_id", "user_id")}
    body = {"type": name, **copied, "status": data["status"]}
    words = {"message": notes.message(name, data), "channel": notes.CHANNEL}
    return SinkRequest("POST", "/v1/notifications", body | words)


CALLS: dict[str, Callable[[str, CloudEvent], SinkRequest]] = {
    "order": _status_of("orders", "order_id"),
    "trip": _status_of("trips", "trip_id"),
    "driver": _status_of("drivers", "driver_id"),
    "rider": _status_of("riders", "rider_id"),
    "inventory": _release,
    "notification": _notify,
}


class HttpSink:
    """One sister service. Its calls share the connections of payment_service.http."""

    batch = CONCURRENCY * ROUNDS

    def __init__(self, name: str, url: str, settings: Settings) -> None:
        self._name, self._call = name, CALLS[name]
        self._url = url.rstrip("/")
        self._timeout = settings.outbox_timeout_seconds
        self._secret = settings.event_signing_secret
        # Twice what the calls may take: a paused relay must not send long after its lease.
        self.lease_seconds = 2 * ROUNDS * self._timeout + 2

    def deliver(self, batch: Sequence[LeasedDelivery]) -> list[DeliveryEnding]:
        turn = _Turn(time.monotonic() + self.lease_seconds - self._timeout)
        if len(batch) == 1:
            return [self._one(turn, batch[0])]
        with ThreadPoolExecutor(min(CONCURRENCY, len(batch))) as pool:
            return list(pool.map(lambda delivery: self._one(turn, delivery), batch))

    def tend(self) -> None:
        """Nothing is done between deliveries."""

    def close(self) -> None:
        """Its connections are those of payment_service.http, which stay."""

    def _one(self, turn: _Turn, delivery: LeasedDelivery) -> DeliveryEnding:
        if turn.is_over():
            return DeliveryEnding(delivery, "the service failed too often in a row", tried=False)
        with traces.going_on(f"deliver {self._name}", delivery.traceparent) as span:
            ending = self._send(delivery)
            note(span, ending)
        turn.count(ending)
        return ending

    def _send(self, delivery: LeasedDelivery) -> DeliveryEnding:
        try:
            event = json.loads(delivery.body)
            call = self._call(delivery.type, event)
            body = jsontext.dumps(call.body).encode()
            answer = http.call(
                call.method,
                self._url + call.path,
                timeout=self._timeout,
                data=body,
                headers=self._headers(delivery, event, body),
            )
        except (http.Unreachable, http.Silence) as error:
            return DeliveryEnding(delivery, str(error))
        except Exception as error:
            # An event that can't be told must not keep the others of its batch from being told.
            return DeliveryEnding(delivery, f"{type(error).__name__}: {error}")
        if 200 <= answer.status < 300:
            return DeliveryEnding(delivery)
        told = answer.headers.get("Retry-After", "")
        return DeliveryEnding(
            delivery,
            f"{call.method} {call.path}: {answer.status}",
            retry_after=float(told) if told.isascii() and told.isdigit() else 0.0,
        )

    def _headers(self, delivery: LeasedDelivery, event: CloudEvent, body: bytes) -> dict[str, str]:
        headers = signing.headers(
            delivery.event_id, body, timestamp=int(time.time()), secret=self._secret
        )
        headers["Content-Type"] = "application/json"
        if request_id := event["data"].get("request_id"):
            headers["X-Request-ID"] = request_id
        if delivery.traceparent:  # unless this process traces too: then http says it anew
            headers["traceparent"] = delivery.traceparent
        return headers


class _Turn:
    """The time in which a batch may be sent. It is over when calls fail one after another, or when
    no further call would end within the lease."""

    def __init__(self, end: float) -> None:
        self._end = end
        self._lock = threading.Lock()
        self._failed_in_a_row = 0

    def is_over(self) -> bool:
        return self._failed_in_a_row >= GIVE_UP_AFTER or time.monotonic() > self._end

    def count(self, ending: DeliveryEnding) -> None:
        with self._lock:
            self._failed_in_a_row = self._failed_in_a_row + 1 if ending.error else 0
