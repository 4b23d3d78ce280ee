"""One request, sent any number of times, is one move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from payment_service import idempotency
from payment_service.domain.callers import Caller
from payment_service.domain.errors import DomainError, IdempotencyKeyInProgress
from payment_service.domain.operators import Refused
from payment_service.extensions import db
from payment_service.idempotency import Key
from payment_service.services.moves import answers, resolution, steps
from payment_service.services.moves.answers import Ended
from payment_service.services.moves.steps import Move

_TRIES = 5
"""A lost race for a key shows the winner's claim at the next look; more than two are unheard of."""


class Lately:
    """The keys that this process has met lately. Only a hint: whoever keeps a connection sends its
    retry to the same process, and what the key keeps is quicker found than a move is begun."""

    def __init__(self) -> None:
        self._new: set[int] = set()
        self._old: set[int] = set()

    def met(self, key: Key) -> bool:
        """Whether the key was met before. From now on it was."""
        mark = hash((key.caller, key.operation, key.key))
        if mark in self._new or mark in self._old:
            return True
        if len(self._new) >= REMEMBERED:
            self._old, self._new = self._new, set()
        self._new.add(mark)
        return False


REMEMBERED = 10_000
"""Keys, and as many of before: some minutes of a busy process, in two megabytes."""
LATELY = Lately()


def once(
    *, key: Key | None, caller: Caller, begin: Callable[[], Move], look_first: bool = True
) -> Ended:
    """What the key keeps already, or how the move ends that `begin` begins.

    Without `look_first` a key that is new to this process is looked at only once `begin` finds it
    taken. Raises what idempotency.find and `begin` raise.
    """
    look_first = look_first or (key is not None and LATELY.met(key))
    for turn in range(_TRIES):
        if key and (look_first or turn) and (found := idempotency.find(key)):
            if ended := resume(key=key, found=found, caller=caller):
                return ended
            continue
        try:
            move = begin()
        except idempotency.KeyTaken as taken:
            if key and taken.found and (ended := resume(key=key, found=taken.found, caller=caller)):
                return ended
            continue
        except (DomainError, Refused):
            # Two tries of one request may overlap, and what refuses this one may be the other's own
            # doing: then the key tells how that went.
            if key is None or idempotency.find(key) is None:
                raise
            continue
        return steps.carry_out(move)
    raise IdempotencyKeyInProgress("requests with this key crowd each other; ask again")


def resume(*, key: Key, found: idempotency.Found, caller: Caller) -> Ended | None:
    """What a retry is told: the kept answer, or after one look-up what stands by now. None if
    the key was given back meanwhile, because the first request surely sent nothing.

    It never sends anything.
    """
    if replay := answers.kept(found):
        return replay
    with db.engine.begin() as connection:
        number = idempotency.release(connection, key)
    if number is None:
        now = idempotency.find(key)
        return resume(key=key, found=now, caller=caller) if now else None
    payment_id = found.payment_id or 0
    resolution.resolve(payment_id=payment_id, number=number, caller=caller)
    return replace(answers.tell(payment_id=payment_id, number=number, key=key), replayed=True)
