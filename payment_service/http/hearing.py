"""What came back over HTTP, for who wants to keep it: whoever listens hears the answer of the last
call that was made meanwhile, in the same thread. So no provider has to hand it on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Heard:
    """The last call's answer: its HTTP status and body, and how long all calls took until then, in
    whole milliseconds. None where no answer came, or nobody was `called`."""

    called: bool = False
    ms: int | None = None
    status: int | None = None
    body: bytes | None = field(default=None, repr=False)
    begun: float = field(default_factory=time.perf_counter, repr=False)

    def spent(self) -> int:
        """Milliseconds since it began."""
        return round((time.perf_counter() - self.begun) * 1000)


_LISTENS: ContextVar[Heard | None] = ContextVar("listens", default=None)


@contextmanager
def listening() -> Iterator[Heard]:
    """Hears what is called inside, until something else listens."""
    heard = Heard()
    token = _LISTENS.set(heard)
    try:
        yield heard
    finally:
        _LISTENS.reset(token)


def calls() -> None:
    """A call begins: the answer to an earlier one (a token's, say) is none to this."""
    if heard := _LISTENS.get():
        heard.called, heard.ms, heard.status, heard.body = True, None, None, None


def answered(status: int, body: bytes) -> None:
    """The whole answer to it came."""
    if heard := _LISTENS.get():
        heard.ms, heard.status, heard.body = heard.spent(), status, body
