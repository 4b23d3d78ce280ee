"""Who types a flask command, for the record."""

from __future__ import annotations

import os
import pwd

from payment_service.domain.callers import Caller
from payment_service.domain.vocabulary import Actor


def system_user() -> Caller:
    """The user that the kernel knows; the environment could name anybody. A container's user may
    have a number only."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = str(number)
    return Caller(f"cli:{name}", Actor.OPERATOR)
