"""Traces: one from the caller to the sister service, nothing where they are off, and a collector
that is away harms nobody."""

from __future__ import annotations

import json
import re
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.books import execute
from tests.fixtures import MakeApp, a_key, an_order
from tests.otlp_receiver import Received, Receiver, receiving
from tests.own_process import printed
from tests.patience import PATIENCE
from tests.running_service import Service, running_service
from tests.sandbox_calls import arm, eventually, get
from tests.sandbox_server import Sandbox
from tests.sisters import apps_on, drain, inbox, pay, urls

CHARGE = "POST /v1/payments/charge"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory,
    database_of_module: str,
    redis_url: str,
    sandbox_of_module: Sandbox,
    receiver: Receiver,
) -> Iterator[Service]:
    """gunicorn and a worker that trace, with a trip service that asks and is told."""
    names = ("SANDBOX_PROVIDER_URL", "TRIP_SERVICE_URL", "TRIP_STATUS_SERVICE_URL")
    env = dict.fromkeys(names, sandbox_of_module.url) | {
        "REDIS_URL": redis_url,
        "WEB_WORKERS": "1",
        "RESOLUTION_FIRST_LOOKUP_SECONDS": "0.2",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=rides%20and%20more",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    directory = tmp_path_factory.mktemp("traced")
    with running_service(directory, database_url=database_of_module, **env) as running:
        running.start_worker()
        yield running


def charge(service: Service, body: dict[str, Any] | None = None) -> tuple[str, str, Any]:
    """A charge by a caller that traces: its trace, its span, and the answer."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    headers = {"Idempotency-Key": a_key(), "traceparent": f"00-{trace}-{span}-01"}
    answer = service.post("/v1/payments/charge", body or an_order(), headers=headers)
    return trace, span, answer


def a_trip(token: str) -> dict[str, Any]:
    return {"trip_id": 32, "method": "CARD", "payment_token": token}


def told(sandbox: Sandbox, payment_id: int) -> dict[str, Any]:
    """What the trip service was told about the payment."""

    def entries() -> list[dict[str, Any]]:
        inbox = get(sandbox, "/sandbox/inbox?service=trip")["inbox"]
        return [one for one in inbox if one["body"]["payment_id"] == payment_id]

    eventually(entries)
    [entry] = entries()
    return entry


def whole(receiver: Receiver, trace: str, last: str) -> dict[str, Received]:
    """The trace's spans by id, once the `last` one came."""
    eventually(lambda: any(one.id == last for one in receiver.of(trace)))
    return {one.id: one for one in receiver.of(trace)}


def way(spans: dict[str, Received], span: str) -> list[str]:
    """The names from this span up to the first of our own."""
    names = []
    while span in spans:
        names.append(spans[span].name)
        span = spans[span].parent
    return [*names, span]


def ways(spans: dict[str, Received]) -> list[list[str]]:
    return [way(spans, one) for one in spans]


def delivered(receiver: Receiver, entry: dict[str, Any], trace: str) -> dict[str, Received]:
    """The spans of the trace in which this was told."""
    version, came, span, flags = entry["headers"]["traceparent"].split("-")
    assert (version, came, flags) == ("00", trace, "01")
    return whole(receiver, trace, span)


@pytest.mark.slow
def test_a_decline_is_one_trace_from_the_caller_to_the_sister_service(
    service: Service, sandbox_of_module: Sandbox, receiver: Receiver
) -> None:
    trace, caller, answer = charge(service, a_trip("tok_decline_do_not_honor"))
    assert answer.status_code == 402, answer.text
    entry = told(sandbox_of_module, answer.json()["payment_id"])
    spans = delivered(receiver, entry, trace)
    span = entry["headers"]["traceparent"].split("-")[2]
    assert way(spans, span) == ["PATCH", "deliver trip", CHARGE, caller]
    found = ways(spans)
    assert ["GET", "trip service", CHARGE, caller] in found
    assert ["begin_charge", CHARGE, caller] in found
    assert ["apply_change", CHARGE, caller] in found
    assert ["POST", "sandbox charge", CHARGE, caller] in found
    [asked] = [one for one in spans.values() if one.name == "sandbox charge"]
    assert asked.attributes["payment.outcome"] == "DECLINED"
    assert not asked.failed  # a no is an answer
    assert spans[span].process == "worker"


@pytest.mark.slow
def test_a_look_up_goes_on_with_the_trace_of_the_charge(
    service: Service, sandbox_of_module: Sandbox, receiver: Receiver
) -> None:
    token = f"card-{a_key()}"
    arm(sandbox_of_module, "charge", "do_and_lose_answer", match={"token": token})
    trace, caller, answer = charge(service, a_trip(token))
    assert answer.status_code == 202, answer.text
    entry = told(sandbox_of_module, answer.json()["payment_id"])
    spans = delivered(receiver, entry, trace)
    span = entry["headers"]["traceparent"].split("-")[2]
    assert way(spans, span) == ["PATCH", "deliver trip", "look-up", CHARGE, caller]
    found = ways(spans)
    assert ["GET", "sandbox lookup", "look-up", CHARGE, caller] in found
    assert ["apply_change", "look-up", CHARGE, caller] in found
    [asked] = [one for one in spans.values() if one.name == "sandbox charge"]
    assert asked.failed
    assert asked.attributes["error.type"] == "OutcomeUnknown"
    lines = service.log.read_text().splitlines()
    logged = [json.loads(one) for one in lines if trace in one]
    assert {"request", "provider_call"} <= {one["event"] for one in logged}
    assert all(one["trace_id"] == trace for one in logged)


def test_a_worker_that_traces_nothing_hands_on_what_was_stored(
    make_app: MakeApp, fresh_database: str, sandbox: Sandbox
) -> None:
    app = apps_on(fresh_database, make_app)(**urls(sandbox, "order"))
    first, second = pay(app), pay(app)
    came = f"00-{'c' * 32}-{'d' * 16}-00"
    told_of = "UPDATE deliveries SET traceparent = :came WHERE payment_id = :id"
    execute(app, told_of, came=came, id=second)
    drain(app)
    [entry] = inbox(sandbox, "order", [first])
    assert "traceparent" not in entry["headers"]
    [entry] = inbox(sandbox, "order", [second])
    assert entry["headers"]["traceparent"] == came


@pytest.mark.slow
def test_no_span_holds_what_was_sent(service: Service, receiver: Receiver) -> None:
    token = f"card-{a_key()}"
    mark = f"mark{a_key()}"
    trace, _, answer = charge(service, an_order(payment_token=token, metadata={"note": mark}))
    assert answer.status_code == 201, answer.text
    service.get(f"/v1/payments?caller_reference={mark}")
    service.get(f"/v1/pay/17/{mark}")
    service.get("/health/ready", headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    # Several processes answer, and each sends its spans by itself.
    eventually(lambda: receiver.of("a" * 32) and receiver.of(trace))
    eventually(lambda: "/v1/pay/" in repr(receiver.spans))
    everything = repr(receiver.spans)
    assert mark not in everything
    assert token not in everything
    assert receiver.headers[0]["x-tenant"] == "rides and more"


@pytest.mark.slow
def test_the_last_spans_are_sent_at_the_end(
    tmp_path: Path, database_of_module: str, sandbox_of_module: Sandbox, receiver: Receiver
) -> None:
    env = {
        "SANDBOX_PROVIDER_URL": sandbox_of_module.url,
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_BSP_SCHEDULE_DELAY": "3600000",
    }
    with running_service(tmp_path, database_url=database_of_module, **env) as service:
        trace, _, answer = charge(service)
        assert answer.status_code == 201
        assert not receiver.of(trace)
        assert service.web is not None
        service.web.send_signal(signal.SIGTERM)
        assert service.web.wait(PATIENCE) == 0
    assert CHARGE in {one.name for one in receiver.of(trace)}


@pytest.mark.slow
def test_a_collector_that_is_away_harms_nobody(
    tmp_path: Path, database_of_module: str, sandbox_of_module: Sandbox
) -> None:
    env = {
        "SANDBOX_PROVIDER_URL": sandbox_of_module.url,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://u:hunter2@127.0.0.1:9",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_BSP_MAX_QUEUE_SIZE": "20",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10",
        "WEB_WORKERS": "1",
    }
    with running_service(tmp_path, database_url=database_of_module, **env) as service:
        for _ in range(40):
            assert charge(service)[2].status_code == 201
        eventually(lambda: "traces_are_lost" in service.log.read_text())
        assert service.web is not None
        service.web.send_signal(signal.SIGTERM)
        assert service.web.wait(PATIENCE) == 0
        log = service.log.read_text()
    assert len(re.findall("traces_are_lost", log)) == 1
    assert "hunter2" not in log
    assert "Traceback" not in log


LOADED = "import sys; print(*(n for n, m in sys.modules.items() if m and 'opentelemetry' in n))"


@pytest.mark.slow
def test_nothing_is_loaded_where_it_is_off(
    tmp_path: Path, fresh_database: str, sandbox_of_module: Sandbox
) -> None:
    """In gunicorn's process, after a charge and its delivery's begin."""
    names = ("SANDBOX_PROVIDER_URL", "TRIP_STATUS_SERVICE_URL")
    env = dict.fromkeys(names, sandbox_of_module.url)
    app = "tests.telling_modules:create_app()"
    with running_service(tmp_path, database_url=fresh_database, app=app, **env) as service:
        answer = charge(service)[2]
        assert answer.status_code == 201
        loaded = service.get("/modules").json()
    assert "payment_service.telemetry.traces" in loaded
    assert not [one for one in loaded if "opentelemetry" in one or one.endswith(".spans")]


@pytest.mark.slow
def test_the_worker_loads_nothing_either(fresh_database: str) -> None:
    script = (
        "from payment_service.services import worker\n"
        "from payment_service.telemetry import traces\n"
        "traces.start(app.extensions['settings'], 'worker')\n"
        "for beat in worker.BEATS: worker.step(app, beat)\n"
    )
    assert printed(script + LOADED, DATABASE_URL=fresh_database, AUTH_MODE="off")[-1] == ""
