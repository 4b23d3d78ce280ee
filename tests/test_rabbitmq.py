"""RabbitMQ as a sink: a real broker, told, restarted, killed, and without a queue."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pika
import psutil
import pytest
from flask import Flask

from payment_service.outbox import rabbitmq, sinks
from payment_service.services import health
from tests.books import execute, row, rows
from tests.fixtures import MakeApp, a_key, an_order
from tests.otlp_receiver import receiving
from tests.patience import PATIENCE
from tests.rabbitmq_server import Broker, running_rabbitmq
from tests.running_service import running_service
from tests.sandbox_calls import eventually
from tests.sandbox_server import Sandbox
from tests.sisters import (
    Make,
    apps_on,
    assert_first_deliveries_in_order,
    drain,
    key,
    pay,
    pay_and_give_back,
    step,
)

pytestmark = pytest.mark.slow  # a node needs longer to start than most tests here together

Message = tuple[Any, Any, bytes]


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One node for all tests here; each has a fresh exchange."""
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as running:
        yield running


class Queue:
    """A durable queue, "classic" or "quorum", that hears what its binding says."""

    def __init__(self, broker: Broker, binding: str = "#", kind: str = "classic") -> None:
        self._broker = broker
        self._link = pika.BlockingConnection(pika.URLParameters(broker.url))
        self._channel = self._link.channel()
        self._channel.exchange_declare("payments", "topic", durable=True)
        self._channel.queue_declare("heard", durable=True, arguments={"x-queue-type": kind})
        self._channel.queue_bind("heard", "payments", binding)
        self._link.close()

    def take(self) -> list[Message]:
        """All messages that are there, oldest first."""
        link = pika.BlockingConnection(pika.URLParameters(self._broker.url))
        channel, found = link.channel(), []
        while (message := channel.basic_get("heard", auto_ack=True))[0] is not None:
            found.append(message)
        link.close()
        return found


@pytest.fixture
def make(fresh_database: str, make_app: MakeApp, broker: Broker) -> Iterator[Make]:
    """Apps on one database, with the broker as their only sink unless they say otherwise."""
    apps: list[Flask] = []
    plain = apps_on(fresh_database, make_app)

    def run(**changes: Any) -> Flask:
        apps.append(plain(**{"rabbitmq_url": broker.url} | changes))
        return apps[-1]

    link = pika.BlockingConnection(pika.URLParameters(broker.url))
    channel = link.channel()
    channel.queue_delete("heard")
    channel.exchange_delete("payments")
    link.close()
    yield run
    for app in apps:
        with app.app_context():
            sinks.close()


@pytest.fixture
def look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each probe looks at the broker, and waits as long as it takes."""
    monkeypatch.setattr(health, "BROKER_KNOWN_SECONDS", 0.0)
    monkeypatch.setattr(health, "BROKER_PATIENCE", PATIENCE)


def told(app: Flask) -> tuple[int, str, str]:
    """What readiness says: its status, its word, and its word about the broker."""
    answer = app.test_client().get("/health/ready")
    return answer.status_code, answer.json["status"], answer.json["dependencies"]["rabbitmq"]


def left(app: Flask) -> int:
    found: int = row(app, "SELECT count(*) AS n FROM deliveries WHERE done_at IS NULL")["n"]
    return found


def test_a_message_is_the_stored_cloud_event(make: Make, broker: Broker) -> None:
    app, queue = make(), Queue(broker)
    made = pay(app, rider_id=7)
    drain(app)
    ((method, properties, body),) = queue.take()
    event = row(app, "SELECT * FROM events WHERE payment_id = :id", id=made)
    assert body.decode() == event["body"]
    assert method.routing_key == event["type"] == "payment.succeeded"
    assert (properties.content_type, properties.delivery_mode, properties.message_id) == (
        "application/cloudevents+json", 2, f"{made}-{event['seq']}",
    )  # fmt: skip
    said = json.loads(body)
    assert (said["specversion"], said["id"], said["type"]) == (
        "1.0", properties.message_id, "payment.succeeded.v1",
    )  # fmt: skip
    assert (said["data"]["status"], said["data"]["rider_id"]) == ("SUCCESS", 7)


def test_every_event_goes_there_in_its_order(make: Make, broker: Broker) -> None:
    app, queue = make(), Queue(broker)
    pay_and_give_back(app, 10)
    drain(app)
    heard = [key(properties.message_id) for _, properties, _ in queue.take()]
    assert len(heard) == row(app, "SELECT count(*) AS n FROM events")["n"] == 70
    assert_first_deliveries_in_order(heard)


# RabbitMQ 3.10 forgets a quorum queue that is younger than three minutes when it is killed.
@pytest.mark.parametrize(
    ("kind", "end"), [("classic", Broker.kill), ("quorum", Broker.stop)], ids=["classic", "quorum"]
)
def test_the_exchange_and_the_messages_outlive_the_broker(
    make: Make, broker: Broker, look_at_once: None, kind: str, end: Callable[[Broker], None]
) -> None:
    app, queue = make(), Queue(broker, "payment.*", kind)
    pay(app)
    drain(app)
    end(broker)
    second = pay(app)
    assert step(app)["failed"] == 1
    assert left(app) == 1
    assert told(app) == (200, "DEGRADED", "DOWN")
    broker.start()
    assert told(app) == (200, "UP", "UP")
    execute(app, "UPDATE deliveries SET due_at = now()")
    drain(app)
    assert left(app) == 0
    messages = queue.take()
    assert len(messages) == 2
    assert json.loads(messages[1][2])["data"]["payment_id"] == second


def test_without_a_queue_an_event_is_not_delivered_and_parked_in_the_end(
    make: Make, broker: Broker
) -> None:
    app = make(outbox_max_attempts=2)
    made = pay(app)
    for _ in range(2):
        step(app)
        execute(app, "UPDATE deliveries SET due_at = now()")
    (parked,) = rows(app, "SELECT * FROM deliveries WHERE payment_id = :id", id=made)
    assert parked["parked_at"] is not None
    assert "no queue is bound for payment.succeeded" in parked["last_error"]
    queue = Queue(broker)
    assert app.test_cli_runner().invoke(args=["outbox", "deliver", "--all"]).exit_code == 0
    drain(app)
    assert len(queue.take()) == 1


def test_only_what_is_unroutable_fails(make: Make, broker: Broker) -> None:
    app, queue = make(), Queue(broker, "payment.succeeded")
    pay(app)
    pay(app, payment_token="tok_decline_do_not_honor")
    pay(app)
    counts = step(app)
    assert (counts["delivered"], counts["failed"]) == (2, 1)
    assert len(queue.take()) == 2


def test_a_broker_that_is_down_costs_one_attempt_a_step(make: Make, broker: Broker) -> None:
    app = make(rabbitmq_url="amqp://guest:guest@127.0.0.1:1/%2F")
    for _ in range(5):
        pay(app)
    assert step(app)["failed"] == 1
    assert row(app, "SELECT sum(attempts) AS n FROM deliveries")["n"] == 1
    back = make()
    Queue(broker)
    execute(app, "UPDATE deliveries SET due_at = now()")
    drain(back)
    assert left(app) == 0


def test_another_exchange_of_that_name_is_told_plainly(make: Make, broker: Broker) -> None:
    link = pika.BlockingConnection(pika.URLParameters(broker.url))
    channel = link.channel()
    channel.exchange_declare("payments", "fanout")
    app = make()
    pay(app)
    step(app)
    assert "PRECONDITION_FAILED" in row(app, "SELECT last_error FROM deliveries")["last_error"]
    channel.exchange_delete("payments")
    link.close()


def test_the_connection_lasts_and_is_kept_alive(make: Make, broker: Broker) -> None:
    """A broker drops who is silent for two heartbeats, so they are sent while nothing happens."""
    app, queue = make(rabbitmq_url=broker.url + "?heartbeat=4"), Queue(broker)
    pay(app)
    drain(app)
    with app.app_context():
        link = sinks.get("rabbitmq").link  # type: ignore[union-attr]

    def sent() -> int:
        step(app)
        frames: int = link.connection._heartbeat_checker._heartbeat_frames_sent
        return frames

    eventually(lambda: sent() >= 2)
    pay(app)
    drain(app)
    with app.app_context():
        assert sinks.get("rabbitmq").link is link  # type: ignore[union-attr]
    assert len(queue.take()) == 2


def test_readiness_tells_how_the_broker_stands(
    make: Make, broker: Broker, look_at_once: None
) -> None:
    app = make()
    assert told(app) == (200, "UP", "UP")
    stranger = make(rabbitmq_url=broker.url.replace("guest:guest", "guest:wrong"))
    assert told(stranger) == (200, "DEGRADED", "DOWN")
    nowhere = make(rabbitmq_url=broker.url.replace("%2F", "nowhere"))
    assert told(nowhere) == (200, "DEGRADED", "DOWN")
    for _ in range(20):
        told(app)
    port = pika.URLParameters(broker.url).port

    def connections() -> list[Any]:
        here = psutil.Process().net_connections()
        there = [one for one in here if one.raddr and one.raddr.port == port]
        return [one for one in there if one.status == "ESTABLISHED"]

    eventually(lambda: not connections())


def test_a_broker_that_answers_no_goodbye_is_hung_up_on(broker: Broker) -> None:
    """Its answers pass until we say goodbye; then nothing comes back."""
    port = pika.URLParameters(broker.url).port
    close_method = b"\x00\x0a\x00\x32"
    heard: list[bytes] = []

    def pass_on(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as node:
            client.settimeout(PATIENCE)
            back = threading.Thread(target=answers, args=(node, client), daemon=True)
            back.start()
            while data := client.recv(65536):
                heard.append(data)
                if close_method not in data:
                    node.sendall(data)
        heard.append(b"")

    def answers(node: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := node.recv(65536):
                client.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as server:
        between = threading.Thread(target=lambda: pass_on(server.accept()[0]), daemon=True)
        between.start()
        url = broker.url.replace(str(port), str(server.getsockname()[1]))
        assert rabbitmq.is_up(url, 8.0)
        between.join(PATIENCE)
    assert heard[-1] == b""
    assert any(close_method in data for data in heard)


def test_a_message_names_the_trace_of_its_event(make: Make, broker: Broker) -> None:
    """A relay that traces nothing itself hands on what was stored."""
    app, queue = make(), Queue(broker)
    pay(app)
    drain(app)
    [(_, properties, _)] = queue.take()
    assert properties.headers is None
    pay(app)
    came = f"00-{'a' * 32}-{'b' * 16}-01"
    execute(app, "UPDATE deliveries SET traceparent = :came WHERE done_at IS NULL", came=came)
    drain(app)
    [(_, properties, _)] = queue.take()
    assert properties.headers == {"traceparent": came}


def test_a_message_is_a_span_of_the_trace_of_its_event(
    fresh_database: str, broker: Broker, sandbox: Sandbox, tmp_path: Path
) -> None:
    """From the caller's header over the outbox to the header of the message."""
    trace, caller = secrets.token_hex(16), secrets.token_hex(8)
    queue = Queue(broker)
    with receiving() as receiver:
        env = {
            "SANDBOX_PROVIDER_URL": sandbox.url,
            "RABBITMQ_URL": broker.url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        with running_service(tmp_path, database_url=fresh_database, **env) as service:
            service.start_worker()
            headers = {"Idempotency-Key": a_key(), "traceparent": f"00-{trace}-{caller}-01"}
            answer = service.post("/v1/payments/charge", an_order(), headers=headers)
            assert answer.status_code == 201
            messages: list[Message] = []
            eventually(lambda: messages.extend(queue.take()) or messages)
            sent = messages[0][1].headers["traceparent"].split("-")[2]
            eventually(lambda: any(one.id == sent for one in receiver.of(trace)))
        spans = {one.id: one for one in receiver.of(trace)}
    published, asked = spans[sent], spans[spans[sent].parent]
    assert (published.name, published.process) == ("publish payments", "worker")
    assert published.attributes["payment.event"] == "payment.succeeded"
    assert (asked.name, asked.process) == ("POST /v1/payments/charge", "web")
    assert asked.parent == caller
