"""Where the keys come from, and how they are kept while their issuer is away.

PyJWT's own client is not used: it forgets good keys when the issuer is away, refuses a new key for
as long as its last fetch is young, and queues all threads behind one time-out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from payment_service import http
from payment_service.config import Settings, callers
from payment_service.domain.errors import KeysUnavailable
from payment_service.identity import discovery, key_sets
from payment_service.identity.key_sets import KeySet, VerifyingKey

log = structlog.get_logger(__name__)

FETCH_SECONDS = 2.0
"""For all of one fetch. An issuer nearby takes milliseconds; a caller waits for this one."""
REFRESH_SECONDS = 300.0
"""How long a key that was withdrawn is still believed, at most."""
RETRY_SECONDS = 30.0
"""After a fetch that failed, while there are keys: one request in all this time waits for it."""
FIRST_RETRY_SECONDS = 5.0
"""The same without any key, while everybody is refused."""
UNKNOWN_SECONDS = 60.0
"""Between two fetches for a key that is not known: anybody can name one."""
MOST_WAITING = 8
"""Threads that wait for a fetch because their key is not known: few of a worker's 48, so that
forged tokens hold no others up, and enough for those that come with a fresh key."""

Fetch = Callable[[], KeySet]
"""Gets the keys. Raises http.Unreachable, http.Silence, ValueError."""


class FixedKeys:
    """Keys that the settings hold."""

    def __init__(self, keys: KeySet) -> None:
        self.at_hand: KeySet | None = keys
        self._keys = keys

    def find(self, kid: str | None, algorithm: str) -> tuple[KeySet, list[VerifyingKey]]:
        """All keys, and those that may have signed such a token."""
        return self._keys, self._keys.fitting(kid, algorithm)

    def is_well(self) -> bool | None:
        """None: nobody is asked."""
        return None


class FetchedKeys:
    """Keys that somebody serves. One thread at a time fetches; the others go on with those at hand,
    and wait only where none of them would do."""

    def __init__(
        self, fetch: Fetch, stale_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.at_hand: KeySet | None = None
        self._fetch, self._stale, self._clock = fetch, stale_seconds, clock
        self._fetching = threading.Lock()
        self._places = threading.BoundedSemaphore(MOST_WAITING)
        self._well = True
        self._fetched = self._due = self._unknown_due = clock()

    def find(self, kid: str | None, algorithm: str) -> tuple[KeySet, list[VerifyingKey]]:
        """All keys, and those that may have signed such a token; none if nobody serves one.

        Raises KeysUnavailable where there are no keys at all, or too many wait for a new one.
        """
        keys = self._current()
        found = keys.fitting(kid, algorithm)
        if found:
            return keys, found
        keys = self._with_new(kid, algorithm) or keys
        return keys, keys.fitting(kid, algorithm)

    def is_well(self) -> bool | None:
        """Whether the last fetch came to a good end; True before the first."""
        return self._well

    def _current(self) -> KeySet:
        now = self._clock()
        if self.at_hand is not None and now - self._fetched > self._stale:
            self.at_hand = None
        keys = self.at_hand
        if keys is None:
            return self._first()
        if now >= self._due and self._fetching.acquire(blocking=False):
            try:
                if self._clock() >= self._due:
                    self._refresh()
            finally:
                self._fetching.release()
        return self.at_hand or keys

    def _first(self) -> KeySet:
        """Waits for whoever fetches, or fetches. Once a fetch has failed only one thread waits for
        the next, so that an issuer that hangs does not take all of them."""
        if self._fetching.acquire(timeout=FETCH_SECONDS + 1 if self._well else 0):
            try:
                if self.at_hand is None and self._clock() >= self._due:
                    self._refresh()
            finally:
                self._fetching.release()
        if self.at_hand is None:
            raise _unavailable()
        return self.at_hand

    def _with_new(self, kid: str | None, algorithm: str) -> KeySet | None:
        """The keys after a fetch for one that is not among them, if it is time for that."""
        if self._clock() < self._unknown_due and not self._fetching.locked():
            return self.at_hand  # which somebody may have fetched since
        if not self._places.acquire(blocking=False):
            raise _unavailable()
        try:
            with self._fetching:
                keys = self.at_hand
                if keys and keys.fitting(kid, algorithm):
                    return keys
                if self._clock() >= self._unknown_due:
                    self._unknown_due = self._clock() + UNKNOWN_SECONDS
                    self._refresh()
                return self.at_hand
        finally:
            self._places.release()

    def _refresh(self) -> None:
        """By the thread that holds `_fetching`. What fails leaves the keys as they are."""
        try:
            found = self._fetch()
        except (http.Unreachable, http.Silence, ValueError) as error:
            self._well = False
            wait = FIRST_RETRY_SECONDS if self.at_hand is None else RETRY_SECONDS
            self._due = self._clock() + wait
            log.warning("keys_not_fetched", error=str(error), kept=self.at_hand is not None)
            return
        self._well = True
        self._fetched = self._clock()
        self._due = self._fetched + REFRESH_SECONDS
        if found != self.at_hand:
            self.at_hand = found
            log.info("keys_changed", kids=[key.kid for key in found.keys])


Keys = FixedKeys | FetchedKeys


def keys_of(settings: Settings, clock: Callable[[], float] = time.monotonic) -> Keys:
    """The keys that the settings name."""
    allowed = callers.algorithms(settings)
    if settings.jwt_secret:
        return FixedKeys(key_sets.of_secret(settings.jwt_secret))
    if settings.jwt_public_key:
        return FixedKeys(key_sets.of_pem(settings.jwt_public_key, allowed))
    return FetchedKeys(_fetch(settings, allowed), settings.jwt_keys_stale_seconds, clock)


def _fetch(settings: Settings, allowed: tuple[str, ...]) -> Fetch:
    def fetch() -> KeySet:
        until = time.monotonic() + FETCH_SECONDS
        if settings.jwt_public_key_url:
            return key_sets.of_pem(discovery.got(settings.jwt_public_key_url, until).body, allowed)
        url = settings.jwt_jwks_url or _discovered(settings, until)
        return key_sets.of_jwks(discovery.got(url, until).json(), allowed)

    return fetch


def _discovered(settings: Settings, until: float) -> str:
    found = discovery.document(settings.jwt_issuer or "", until)
    return discovery.address(found, "jwks_uri", settings)


def _unavailable() -> KeysUnavailable:
    return KeysUnavailable("the keys for tokens can't be had now; ask again", retry_after=1)
