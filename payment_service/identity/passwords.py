"""Operators' passwords: hashing them, comparing them, and which are too weak."""

from __future__ import annotations

import base64
import os
import re
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from payment_service.domain.operators import Busy, WeakPassword

Done = TypeVar("Done")

SHORTEST, LONGEST = 12, 128
"""Characters. ASVS asks for 8 at least and 64 at most or more; where nothing else is asked of a
password, length is what it has."""

HASHER = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
"""argon2id with the least memory that OWASP names for two rounds: 19 MiB, 140 ms on a busy core.
The library's own defaults took 790 ms, and 24 at once 1.5 GB."""

AT_ONCE = 2
"""Hashes being made in a process, by two threads of their own: 40 MB, whoever knocks. Memory that a
thread took for one is kept for the same thread, so that with each request's own thread it became
300 MB of 24."""
MOST_WAITING = 24
"""Threads of a process in here, half of WEB_THREADS: the others go on charging."""

BUSY_SECONDS = 3
"""Until whoever found the place full is told to come again: by then these 24 are through."""

_SCORED = 72
"""Characters that zxcvbn looks at; it refuses more."""
_GOOD = 3
"""Of zxcvbn's 0 to 4: safe from 10^8 guesses, which are all that argon2 leaves somebody who has
stolen the hash a week for."""
_OURS = ("payment", "payments", "payment-service", "admin", "operator")

_at_work = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")
_here = threading.BoundedSemaphore(MOST_WAITING)


def hashed(password: str) -> str:
    """The text to keep. Raises Busy."""
    return _in_turn(lambda: HASHER.hash(_bytes(password)))


def matches(password: str, kept: str | None) -> bool:
    """Whether it is the password of this hash. Without one it takes as long, and is not. Raises
    Busy."""
    try:
        right = _in_turn(lambda: HASHER.verify(kept or _nobodys(), _bytes(password)))
    except (VerificationError, InvalidHashError):
        return False
    return right and kept is not None


def is_old(kept: str) -> bool:
    """Whether it was hashed with other parameters than are used now."""
    return HASHER.check_needs_rehash(kept)


def refuse_weak(password: str, known: Iterable[str]) -> None:
    """Raises WeakPassword. `known` are words that somebody who guesses knows: e-mail and name."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise WeakPassword(f"A password has {SHORTEST} to {LONGEST} characters.")
    # 13 MB, once it is used: only in processes in which somebody sets a password.
    from zxcvbn import zxcvbn

    words = [part for text in known for part in _words_of(text)]
    found = zxcvbn(password[:_SCORED], user_inputs=[*words, *_OURS])
    if found["score"] < _GOOD:
        why = found["feedback"]["warning"] or "Few guesses are needed to find it."
        raise WeakPassword(f"This password is easily guessed. {why}")


def _words_of(text: str) -> Iterator[str]:
    """Maria Silva, maria, silva, mariasilva: as somebody would put them together."""
    parts = re.findall(r"\w+", text.partition("@")[0])
    yield from filter(None, (text, *parts, "".join(parts)))


def _in_turn(act: Callable[[], Done]) -> Done:
    if not _here.acquire(blocking=False):
        raise Busy("Too many people log in at this moment; try again in a few seconds.")
    try:
        return _at_work.submit(act).result()
    finally:
        _here.release()


def _nobodys() -> str:
    """A hash that no password has, made without hashing: comparing with it is all the work."""

    def text(length: int) -> str:
        return base64.b64encode(os.urandom(length)).decode().rstrip("=")

    cost = f"m={HASHER.memory_cost},t={HASHER.time_cost},p={HASHER.parallelism}"
    return f"$argon2id$v=19${cost}${text(HASHER.salt_len)}${text(HASHER.hash_len)}"


def _bytes(password: str) -> bytes:
    """The same for what looks the same, however a keyboard puts it together."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "replace")
