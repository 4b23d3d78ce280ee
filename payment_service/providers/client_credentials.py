"""OAuth2 client credentials: a token that is kept in memory only, and calls that bear it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import structlog

from payment_service import http
from payment_service.providers.contract import NotSent, OutcomeUnknown

log = structlog.get_logger(__name__)

EARLY = 10.0
"""Seconds before its end in which a token is not used any more: it must be good on arrival, too."""


@dataclass(frozen=True)
class _Token:
    text: str
    until: float  # on the monotonic clock


class ClientCredentials:
    """Calls one provider for one client, from any number of threads. Nothing of it is in a log."""

    def __init__(self, provider: str, token_url: str, form: Mapping[str, str]) -> None:
        """`form` is what the token is asked with, beside the grant type."""
        self._provider = provider
        self._token_url = token_url
        self._form = {"grant_type": "client_credentials", **form}
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self._asked: Future[_Token] | None = None

    def call(self, method: str, url: str, body: Any = None, *, timeout: float) -> http.Response:
        """One request with a token. `timeout` (seconds) bounds all of it, the token included; a GET
        is tried twice, and then takes at most twice as long.

        A 401 certainly comes before anything is booked: once, a fresh token is asked for, and the
        request is sent again. Raises OutcomeUnknown for silence; NotSent where no token is to be
        had, nothing was sent, or the answer is 401, 403 (of what stands before it, too) or 429.
        """
        deadline = time.monotonic() + timeout
        token = self._bearer(deadline)
        answer = self._send(method, url, token, deadline, body)
        if answer.status == 401:
            self._forget(token)
            answer = self._send(method, url, self._bearer(deadline), deadline, body)
        if answer.status == 429:
            raise NotSent("asked to slow down", counts=False)
        if answer.status in (401, 403):
            raise NotSent(f"refused with {answer.status}")
        return answer

    def _send(
        self, method: str, url: str, token: _Token, deadline: float, body: Any
    ) -> http.Response:
        headers = {"Authorization": f"Bearer {token.text}"}
        # Asking for a token took time: a process that was paused meanwhile finds it used up here.
        left = _left(deadline)
        try:
            if method == "GET":
                return http.get(url, timeout=left, headers=headers)
            return http.call(method, url, timeout=left, body=body, headers=headers)
        except http.Unreachable as error:
            raise NotSent(str(error)) from error
        except http.Silence as error:
            raise OutcomeUnknown(str(error)) from error

    def _bearer(self, deadline: float) -> _Token:
        """A token that is good. Whoever comes while one is asked for waits for that one."""
        with self._lock:
            if self._token is not None and time.monotonic() < self._token.until:
                return self._token
            asked, mine = self._asked or Future(), self._asked is None
            self._asked = asked
        if mine:
            try:
                self._take(asked, self._ask(deadline))
            except BaseException as error:
                self._take(asked, None)
                asked.set_exception(error)
        try:
            return asked.result(timeout=_left(deadline))
        except TimeoutError:
            raise NotSent("no token came in time") from None

    def _take(self, asked: Future[_Token], token: _Token | None) -> None:
        """Keeps it for all; who comes from now on does not wait for that one any more."""
        with self._lock:
            self._token, self._asked = token, None
        if token is not None:
            asked.set_result(token)

    def _forget(self, token: _Token) -> None:
        """Unless another thread has a fresher one already."""
        with self._lock:
            if self._token is token:
                self._token = None

    def _ask(self, deadline: float) -> _Token:
        left = _left(deadline)
        begun = time.monotonic()
        try:
            answer = http.call("POST", self._token_url, timeout=left, form=self._form)
        except (http.Unreachable, http.Silence) as error:
            raise NotSent(f"no token: {error}") from error
        if answer.status != 200:
            if answer.status in (400, 401, 403):
                log.error("client_refused", provider=self._provider, status=answer.status)
            raise NotSent(f"no token: answered {answer.status}")
        try:
            found = answer.json()
            text, seconds = found["access_token"], float(found["expires_in"])
            if not isinstance(text, str) or not text.isascii() or not text.isprintable():
                raise ValueError
        except (ValueError, KeyError, TypeError, OverflowError):
            raise NotSent("no token: unreadable answer") from None  # the cause could show it
        return _Token(text, begun + seconds - EARLY)


def _left(deadline: float) -> float:
    """Seconds, more than 0. Raises NotSent: what has not been sent by now never is."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise NotSent("no time was left to send it")
    return left
