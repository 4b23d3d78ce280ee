"""Who hears events in a bench: a listener of our own, and a RabbitMQ where one is installed."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika

from tests.rabbitmq_server import Broker, find_server
from tests.sandbox_server import ROOT


@contextlib.contextmanager
def a_listener(seconds: float) -> Iterator[str]:
    """The URL of a sister service that answers so long after it was asked."""
    command = [sys.executable, "-m", "tests.bench.listener", str(seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


@contextlib.contextmanager
def a_broker(directory: Path) -> Iterator[Broker | None]:
    """A RabbitMQ with a durable queue that takes everything; None where none is installed."""
    script = find_server()
    if script is None:
        yield None
        return
    broker = Broker(directory, script)
    try:
        broker.start()
        with contextlib.closing(_link(broker)) as link:
            channel = link.channel()
            channel.exchange_declare("payments", "topic", durable=True)
            channel.queue_declare("heard", durable=True)
            channel.queue_bind("heard", "payments", "#")
        yield broker
    finally:
        broker.close()


def queued(broker: Broker) -> int:
    """How many messages lie in its queue."""
    with contextlib.closing(_link(broker)) as link:
        return int(link.channel().queue_declare("heard", passive=True).method.message_count)


def _link(broker: Broker) -> Any:
    return pika.BlockingConnection(pika.URLParameters(broker.url))
