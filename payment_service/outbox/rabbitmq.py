"""RabbitMQ: persistent messages to a durable topic exchange, confirmed by the batch.

pika's BlockingChannel waits for each confirm by itself, one round trip (and on disk one fsync) a
message. So this drives a SelectConnection, whose loop runs only while a batch is on its way, and
waits once for all confirms of the batch.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Sequence
from typing import Any

import pika
from pika.exceptions import AMQPError

from payment_service.outbox.contract import DeliveryEnding, LeasedDelivery
from payment_service.outbox.traced import note
from payment_service.telemetry import traces

EXCHANGE = "payments"

BATCH = 500
"""Enough that the confirms' round trip does not count, and done well within a second."""

SETTLING_TURNS = 10
"""pika needs a few turns of its loop from reading that the broker has gone to saying so, and to
closing its socket. Turns, because on a busy machine none may happen within a given time."""

# It logs each refused connection with several tracebacks; the relay says it in one line.
logging.getLogger("pika").setLevel(logging.CRITICAL)


class RabbitMQ:
    """One broker. `timeout` bounds connecting, and waiting for a batch's confirms, in seconds."""

    batch = BATCH

    def __init__(self, url: str, timeout: float) -> None:
        self._parameters = _parameters(url, timeout)
        self._timeout = timeout
        self._lock = threading.Lock()
        self.link: _Publisher | None = None
        # Connecting and publishing take a time-out each at most; twice that is on the safe side.
        self.lease_seconds = 4 * timeout + 2

    def deliver(self, batch: Sequence[LeasedDelivery]) -> list[DeliveryEnding]:
        with self._lock:
            error = self._connect()
            if error is None and self.link is not None:
                return self.link.publish(batch, self._timeout)
        # Only the first was tried: a broker that is down costs the others no attempt.
        return [
            DeliveryEnding(delivery, f"RabbitMQ: {error}", tried=place == 0)
            for place, delivery in enumerate(batch)
        ]

    def tend(self) -> None:
        """Answers the broker's heartbeats and notices when it has gone."""
        with self._lock:
            if self.link is not None:
                self.link.settle()

    def close(self) -> None:
        with self._lock:
            if self.link is not None:
                self.link.close()
                self.link = None

    def _connect(self) -> str | None:
        """Makes sure of a link that works. What is in the way, if something is."""
        if self.link is not None:
            self.link.settle()
            if self.link.broken is None:
                return None
            self.link.close()
        self.link = _Publisher(self._parameters)
        self.link.run(self._timeout)
        if not self.link.ready:
            error = self.link.broken or f"not connected within {self._timeout} s"
            self.link.close()
            self.link = None
            return error
        return None


def is_up(url: str, seconds: float) -> bool:
    """Whether the broker lets us in: connected, logged in and away again, within `seconds`.

    Half of them is for coming in and a quarter for saying goodbye, because a broker writes a
    warning about each who just hangs up; the rest lets pika end by itself what takes too long.
    """
    try:
        link = _Link(_parameters(url, seconds / 2))
        link.run(seconds * 3 / 4)
        link.close(seconds / 4)
    except (AMQPError, OSError):
        return False
    return link.ready


def _parameters(url: str, timeout: float) -> pika.URLParameters:
    parameters = pika.URLParameters(url)
    parameters.connection_attempts = 1
    parameters.socket_timeout = timeout
    parameters.stack_timeout = timeout
    return parameters


def _end(span: traces.Message, ending: DeliveryEnding) -> None:
    span.note("messaging.system", "rabbitmq")
    note(span, ending)
    span.end()


class _Link:
    """One connection. Nothing happens outside `run`."""

    def __init__(self, parameters: pika.URLParameters) -> None:
        self.ready = False
        self.broken: str | None = None
        self.connection = pika.SelectConnection(
            parameters,
            on_open_callback=self._opened,
            on_open_error_callback=self._gone,
            on_close_callback=self._gone,
        )
        self._loop = self.connection.ioloop

    def run(self, seconds: float) -> None:
        """Lets the connection work until it has what it waits for, at most for `seconds`."""
        timer = self._loop.call_later(seconds, self._loop.stop)
        self._loop.start()
        self._loop.remove_timeout(timer)

    def settle(self) -> None:
        """Lets the connection do what it can do now, without waiting for anything."""
        for _ in range(SETTLING_TURNS):
            self.run(0)

    def close(self, seconds: float = 1.0) -> None:
        """Says goodbye if the broker is there, and lets go of the sockets."""
        if not (self.connection.is_closing or self.connection.is_closed):
            self.connection.close()
            # pika raises if it is told to close a connection that is only half made.
            with contextlib.suppress(AssertionError):
                self.run(seconds)
        transport = self.connection._transport
        if transport is not None and not self.connection.is_closed:
            # The broker did not answer the goodbye, and pika has no public way to hang up.
            transport.abort()
        self.settle()
        self._loop.close()

    def _opened(self, _: Any) -> None:
        self._is_ready(None)

    def _is_ready(self, _: Any) -> None:
        self.ready = True
        self._loop.stop()

    def _gone(self, _: Any, reason: Any) -> None:
        self.broken = self.broken or repr(reason)
        self._loop.stop()


class _Publisher(_Link):
    """A connection with one channel in confirm mode."""

    def __init__(self, parameters: pika.URLParameters) -> None:
        self._channel: Any = None
        self._published = 0
        self._waiting: dict[int, LeasedDelivery] = {}
        self._refused: dict[str, str] = {}
        super().__init__(parameters)

    def publish(self, batch: Sequence[LeasedDelivery], seconds: float) -> list[DeliveryEnding]:
        """Publishes all, then waits for the broker to confirm all."""
        self._refused = {}
        first = self._published + 1
        spans = [traces.message(f"publish {EXCHANGE}", one.traceparent) for one in batch]
        try:
            for delivery, span in zip(batch, spans, strict=True):
                self._published += 1
                self._waiting[self._published] = delivery
                self._send(delivery, span.traceparent if span else delivery.traceparent)
        except AMQPError as error:
            self.broken = self.broken or repr(error)
        if self.broken is None:
            self.run(seconds)
        if self._waiting and self.broken is None:
            # Confirms that come later would be taken for those of the next batch.
            self.broken = f"no confirm within {seconds} s"
        unconfirmed, self._waiting = self._waiting, {}
        endings = [
            DeliveryEnding(delivery, self._error(delivery, tag in unconfirmed))
            for tag, delivery in enumerate(batch, start=first)
        ]
        for ending, span in zip(endings, spans, strict=True):
            if span:
                _end(span, ending)
        return endings

    def _send(self, delivery: LeasedDelivery, traceparent: str | None) -> None:
        self._channel.basic_publish(
            EXCHANGE,
            delivery.type,
            delivery.body.encode(),
            pika.BasicProperties(
                content_type="application/cloudevents+json",
                content_encoding="utf-8",
                delivery_mode=pika.DeliveryMode.Persistent,
                message_id=delivery.event_id,
                type=delivery.type,
                headers={"traceparent": traceparent} if traceparent else None,
            ),
            mandatory=True,
        )

    def _error(self, delivery: LeasedDelivery, unconfirmed: bool) -> str | None:
        if refused := self._refused.get(delivery.event_id):
            return f"RabbitMQ: {refused}"
        return f"RabbitMQ: {self.broken}" if unconfirmed else None

    def _opened(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._gone)
        channel.add_on_return_callback(self._returned)
        channel.exchange_declare(
            EXCHANGE, exchange_type="topic", durable=True, callback=self._declared
        )

    def _declared(self, _: Any) -> None:
        self._channel.confirm_delivery(self._confirmed, callback=self._is_ready)

    def _returned(self, _: Any, method: Any, properties: Any, __: bytes) -> None:
        self._refused[properties.message_id] = (
            f"no queue is bound for {method.routing_key} ({method.reply_text})"
        )

    def _confirmed(self, frame: Any) -> None:
        method = frame.method
        upto = method.delivery_tag
        tags = [tag for tag in self._waiting if tag <= upto] if method.multiple else [upto]
        for tag in tags:
            delivery = self._waiting.pop(tag, None)
            if delivery is not None and isinstance(method, pika.spec.Basic.Nack):
                self._refused[delivery.event_id] = "the broker refused it"
        if not self._waiting:
            self._loop.stop()
