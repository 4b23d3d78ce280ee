"""Outbound HTTP: one session, whole-call deadlines, trace headers. The only `import requests`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from structlog.contextvars import get_contextvars
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, NewConnectionError

CONNECT_SECONDS = 3.0
"""A service on our own network answers a SYN at once or not at all."""

MAX_ANSWER_BYTES = 1 << 20
"""No answer that we ask for comes near this; one that does is garbage."""


class Unreachable(Exception):
    """No connection was made: the request surely never left us."""


class Silence(Exception):
    """The request may have arrived, but no whole answer came back in time."""


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON, numbers with a point as Decimal. Raises ValueError for garbage."""
        return json.loads(self.body, parse_float=Decimal)


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # a proxy variable must not carry money elsewhere
    adapter = HTTPAdapter(pool_connections=16, pool_maxsize=128)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


_SESSION = _session()


def call(
    method: str,
    url: str,
    *,
    timeout: float,
    body: Any = None,
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request, never repeated. `timeout` bounds the whole call, in seconds.

    `body` is sent as JSON, `data` as it is. Raises Unreachable if nothing was sent for sure, and
    Silence if it may have been but the answer is missing or broken off.
    """
    deadline = time.monotonic() + timeout
    if body is not None:
        data = json.dumps(body, separators=(",", ":")).encode()
    try:
        with _SESSION.request(
            method,
            url,
            data=data,
            headers=_headers(headers, has_json=body is not None),
            timeout=(min(CONNECT_SECONDS, timeout), timeout),
            stream=True,
            allow_redirects=False,
        ) as response:
            return Answer(response.status_code, response.headers, _read(response, deadline))
    except requests.RequestException as error:
        if _never_connected(error):
            raise Unreachable(f"{method} {url}: no connection") from error
        raise Silence(f"{method} {url}: {type(error).__name__}") from error


@retry(
    retry=retry_if_exception_type((Unreachable, Silence)),
    stop=stop_after_attempt(2),
    wait=wait_random(0.05, 0.2),
    reraise=True,
)
def get(url: str, *, timeout: float, headers: Mapping[str, str] | None = None) -> Answer:
    """A read, which is safe to repeat: tried twice, so that one stale kept-alive connection or
    one restart of the other side is not an error."""
    return call("GET", url, timeout=timeout, headers=headers)


def _headers(extra: Mapping[str, str] | None, *, has_json: bool) -> dict[str, str]:
    headers = {"Accept": "application/json"}
    if has_json:
        headers["Content-Type"] = "application/json"
    if request_id := get_contextvars().get("request_id"):
        headers["X-Request-ID"] = request_id
    return {**headers, **(extra or {})}


def _read(response: requests.Response, deadline: float) -> bytes:
    """The whole body. A server that drips its answer is as silent as one that sends none.

    Read as it comes, because waiting for a full block would wait past the deadline. A body that
    ends before its announced length raises too.
    """
    received = bytearray()
    try:
        while chunk := response.raw.read1(65536, decode_content=True):
            received += chunk
            if len(received) > MAX_ANSWER_BYTES or time.monotonic() > deadline:
                raise requests.exceptions.ReadTimeout("answer too long or too slow")
    except HTTPError as error:
        raise requests.exceptions.ConnectionError(error) from error
    return bytes(received)


def _never_connected(error: requests.RequestException) -> bool:
    if not error.args:
        return False
    cause: Any = error.args[0]
    if isinstance(cause, MaxRetryError):
        cause = cause.reason
    return isinstance(cause, NewConnectionError | ConnectTimeoutError)
