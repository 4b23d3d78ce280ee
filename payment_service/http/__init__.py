"""Outbound HTTP: whole-call deadlines, kept connections, trace headers. Only here is requests
known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
from structlog.contextvars import get_contextvars
from tenacity import RetryCallState, retry, retry_if_exception_type, stop_after_attempt, wait_random
from urllib3.exceptions import HTTPError

from payment_service.http import hearing
from payment_service.http.connections import Adapter, bounded
from payment_service.json_objects import each_once
from payment_service.telemetry import metrics, traces

MAX_ANSWER_BYTES = 1 << 20
"""No answer that we ask for comes near this; one that does is garbage."""


LONGEST_INTEGER = 1000
"""Digits; Python's int() is slow with many thousands of them, and refuses them."""

_NAN = Decimal("NaN")


class Unreachable(Exception):
    """Nothing of the request left us, for sure: not even its first byte was handed to a socket."""


class Silence(Exception):
    """The request may have arrived, but no whole answer came back in time."""


@dataclass(frozen=True)
class Response:
    """A whole HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON, numbers with a point as Decimal; a number that can't be held, NaN and
        Infinity come as a Decimal NaN. Raises ValueError for garbage, and for a member that stands
        twice in an object."""
        try:
            return json.loads(
                self.body,
                parse_float=_exact,
                parse_int=lambda digits: int(digits) if len(digits) <= LONGEST_INTEGER else _NAN,
                parse_constant=lambda word: _NAN,
                object_pairs_hook=each_once,
            )
        except RecursionError:
            raise ValueError("nested too deeply") from None


@dataclass(frozen=True)
class Tls:
    """Who we are to the other side of TLS, and whose word we take for who it is: paths of PEM
    files. Without `ca` those are believed that everybody believes.

    Each has connections of its own. A file that is replaced counts for the next connection.
    """

    cert: str | None = None
    key: str | None = None
    ca: str | None = None


# requests without its Session, which would keep cookies, follow redirects and heed proxy variables
# (money must not be carried elsewhere), and takes a third of a call's time to see that it need not.
ADAPTER = Adapter(pool_connections=16, pool_maxsize=128)
"""Keeps the connections to all hosts."""


def call(
    method: str,
    url: str,
    *,
    timeout: float,
    body: Any = None,
    data: bytes | None = None,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    tls: Tls | None = None,
) -> Response:
    """One request, never repeated. `timeout` bounds all of it, in seconds: finding the host,
    connecting, sending, and the answer to its last byte, however slowly it comes.

    One of `body`, sent as JSON, `form`, as a browser sends its fields, and `data`, as it is.
    Raises Unreachable if nothing was taken in for sure, a refused certificate among it, and Silence
    if it may have been but the answer is missing or broken off.
    """
    kind = None
    if body is not None:
        kind, data = "application/json", json.dumps(body, separators=(",", ":")).encode()
    elif form is not None:
        kind, data = "application/x-www-form-urlencoded", urlencode(form).encode()
    with traces.inside(method, "client") as span:
        answer = _sent(method, url, timeout, data, _headers(headers, kind), tls or Tls())
        _note(span, method, url, answer)
        return answer


def _note(span: traces.Span, method: str, url: str, answer: Response) -> None:
    span.note("http.request.method", method)
    span.note("server.address", urlsplit(url).hostname or "")
    span.note("http.response.status_code", answer.status)
    if answer.status >= 400:
        span.fail(str(answer.status))


def _sent(
    method: str,
    url: str,
    timeout: float,
    data: bytes | None,
    headers: Mapping[str, str],
    whom: Tls,
) -> Response:
    hearing.calls()
    request = requests.PreparedRequest()
    with bounded(timeout) as attempt:
        try:
            request.prepare(method, url, headers, data=data)
            with ADAPTER.send(
                request,
                stream=True,
                timeout=timeout,
                verify=whom.ca or True,
                cert=(whom.cert, whom.key) if whom.cert and whom.key else None,
            ) as response:
                answer = Response(response.status_code, response.headers, _read(response))
                hearing.answered(answer.status, answer.body)
                return answer
        except (requests.RequestException, HTTPError, OSError) as error:
            what = f"{method} {_shown(url)}"
            if not attempt.sent:
                raise Unreachable(f"{what}: {attempt.refused or _no_way(error)}") from error
            raise Silence(f"{what}: {type(error).__name__}") from error


def _count_repeated(state: RetryCallState) -> None:
    host = urlsplit(str(state.args[0])).hostname if state.args else None
    metrics.READS_REPEATED.labels(host or "unknown").inc()


@retry(
    retry=retry_if_exception_type((Unreachable, Silence)),
    stop=stop_after_attempt(2),
    wait=wait_random(0.05, 0.2),
    before_sleep=_count_repeated,
    reraise=True,
)
def get(
    url: str,
    *,
    timeout: float,
    headers: Mapping[str, str] | None = None,
    tls: Tls | None = None,
) -> Response:
    """A read, which is safe to repeat: tried twice, so that one stale kept-alive connection or
    one restart of the other side is not an error. `timeout` bounds each try: together they take
    at most twice that, and 0.2 s between them."""
    return call("GET", url, timeout=timeout, headers=headers, tls=tls)


def _no_way(error: Exception) -> str:
    """A file of a certificate that is not there is our own mistake, and must be seen as that."""
    ours = type(error) is OSError and "TLS" in str(error)
    return str(error) if ours else "no connection"


def _headers(extra: Mapping[str, str] | None, kind: str | None) -> dict[str, str]:
    headers = {"Accept": "application/json"}
    if kind is not None:
        headers["Content-Type"] = kind
    if request_id := get_contextvars().get("request_id"):
        headers["X-Request-ID"] = request_id
    told = {**headers, **(extra or {})}
    if traceparent := traces.traceparent():
        told["traceparent"] = traceparent
    return told


def _read(response: requests.Response) -> bytes:
    """The whole body. One that ends before its announced length raises too."""
    if response.status_code < 200:
        # The real answer may follow, and must not be taken for that of the next request.
        response.raw.close()
        raise requests.exceptions.ConnectionError("an interim answer that nobody asked for")
    received = bytearray()
    while chunk := response.raw.read1(65536, decode_content=True):
        received += chunk
        if len(received) > MAX_ANSWER_BYTES:
            raise requests.exceptions.ConnectionError("the answer is too long")
    return bytes(received)


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return _NAN


def _shown(url: str) -> str:
    """Without the login that it may hold, because this goes into logs."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
