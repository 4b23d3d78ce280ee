"""Carrying a request out the way an armed fault or the latency profile wants it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flask import Response, request

from payment_service.sandbox.faults import NO_WHIM, PROVIDER, Ask, Fault, Whim
from payment_service.sandbox.postponed import LATE
from payment_service.sandbox.replies import failed, reply
from payment_service.sandbox.state import SandboxState
from payment_service.sandbox.times import now
from payment_service.sandbox.wire import HalfBody, NoAnswer, Reset

Do = Callable[[Whim], Response]
Behaviour = Callable[[SandboxState, Fault, Ask, Do], Response]

# Longer than any client's sensible time-out, short enough that no thread is held for ever.
_SILENCE_MS = 60_000
_SLOW_MS = 2_000


def answered(state: SandboxState, ask: Ask, do: Do, extra_seconds: float = 0.0) -> Response:
    """Answer one request, as a fault says if one is armed for it. No lock is held while waiting.

    One that arrives late has met its fault already.
    """
    if LATE in request.environ:
        return do(NO_WHIM)
    is_provider = ask.operation in PROVIDER
    delay = state.latency.draw(ask.operation) if is_provider else None
    fault = state.faults.take(ask)
    if fault is None and delay is not None and delay.fault:
        fault = Fault(id="profile", operation=ask.operation, fault=delay.fault)
    noted = _note(state, ask, fault) if is_provider else {}
    if seconds := extra_seconds + (delay.seconds if delay else 0.0):
        time.sleep(seconds)
    response = BEHAVIOURS[fault.fault](state, fault, ask, do) if fault else do(NO_WHIM)
    noted["status"] = None if isinstance(response, NoAnswer | Reset) else response.status_code
    return response


def _note(state: SandboxState, ask: Ask, fault: Fault | None) -> dict[str, Any]:
    noted = {
        "dialect": ask.fields.get("dialect", "psp"),
        "operation": ask.operation,
        "method": ask.method,
        "path": ask.path,
        "reference": ask.reference,
        "time": now(),
        "fault": fault.fault if fault else None,
        "status": None,
    }
    state.note(noted)
    return noted


def _done(after: Callable[[SandboxState, Fault, Response], Response]) -> Behaviour:
    """The work is done, and then answered in another way."""
    return lambda state, fault, ask, do: after(state, fault, do(NO_WHIM))


def _not_done(answer: Callable[[SandboxState, Fault], Response]) -> Behaviour:
    return lambda state, fault, ask, do: answer(state, fault)


def _status(status: int) -> Response:
    return failed(status, f"http_{status}", "On demand.")


def _silence(state: SandboxState, fault: Fault) -> Response:
    return NoAnswer(state.alarm, fault.wait(_SILENCE_MS))


def _slow(state: SandboxState, fault: Fault, ask: Ask, do: Do) -> Response:
    state.alarm.wait(fault.wait(_SLOW_MS))
    return do(NO_WHIM)


def _arrive_late(state: SandboxState, fault: Fault, ask: Ask, do: Do) -> Response:
    state.postponed.keep(ask.operation, ask.reference, fault.wait(_SLOW_MS))
    return Reset()


def _garbage() -> Response:
    return Response(b"<<< \xff not the answer {", 200, content_type="application/json")


def _page() -> Response:
    return Response("<!doctype html><title>Be back soon</title>", 200, content_type="text/html")


def _with_unknown_key(response: Response) -> Response:
    found = response.get_json()
    return reply(200, {"keys": [{"kty": "AKP", "kid": "unknown", "use": "sig"}, *found["keys"]]})


BEHAVIOURS: dict[str, Behaviour] = {
    "reset_before_reading": _not_done(lambda state, fault: Reset()),
    "accept_no_answer": _not_done(_silence),
    "do_and_lose_answer": _done(lambda state, fault, response: Reset()),
    "do_and_hang": _done(lambda state, fault, response: _silence(state, fault)),
    "do_and_500": _done(lambda state, fault, response: _status(500)),
    "do_and_502": _done(lambda state, fault, response: _status(502)),
    "do_and_503": _done(lambda state, fault, response: _status(503)),
    "fail_500": _not_done(lambda state, fault: _status(500)),
    "fail_502": _not_done(lambda state, fault: _status(502)),
    "fail_503": _not_done(lambda state, fault: _status(503)),
    "half_body": _done(lambda state, fault, response: HalfBody(response)),
    "half_body_not_done": _not_done(lambda state, fault: HalfBody(reply(200, {"id": "x" * 99}))),
    "garbage_200": _done(lambda state, fault, response: _garbage()),
    "too_many_requests": _not_done(
        lambda state, fault: reply(429, {"error": "too_many_requests"}, Retry_After="1")
    ),
    "slow": _slow,
    "decline": lambda state, fault, ask, do: do(Whim(decline=fault.code)),
    "forget_idempotency": lambda state, fault, ask, do: do(Whim(forget=True)),
    "arrive_late": _arrive_late,
    "lookup_unavailable": _not_done(lambda state, fault: _status(503)),
    "lookup_not_found": _not_done(lambda state, fault: failed(404, "not_found")),
    "lookup_slow": _slow,
    "html_200": _not_done(lambda state, fault: _page()),
    "empty_keys": _not_done(lambda state, fault: reply(200, {"keys": []})),
    "unknown_key": _done(lambda state, fault, response: _with_unknown_key(response)),
}
