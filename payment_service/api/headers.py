"""Headers that must be one: two lines with one value are one, two values are refused.

WSGI has one value for each name, and servers join the lines of a header by a comma. A comma may
stand in an idempotency key, so a joined value could be taken for a third key.
"""

from __future__ import annotations

import re
from typing import Any

from payment_service.api.prefix import WSGIApp
from payment_service.domain.errors import DomainError

APART = "\n"
"""Between the values of two lines, as `keep_apart` joins them: no value can hold it, because
gunicorn refuses control characters."""

# What parts two lines in the environment's value. Whoever stands between the caller and gunicorn
# may have joined them by a comma and a blank (RFC 9110, 5.3), as Flask's test client does; where
# one value can't hold these, they too part two.
_PARTED = {
    "Idempotency-Key": f"{APART}|, ",
    "X-Request-ID": f"{APART}|, ",
    "X-Correlation-ID": f"{APART}|, ",
    # A second value begins with a scheme and a blank; parameters of one value have a "=" there.
    "Authorization": f"{APART}|, (?=[A-Za-z][A-Za-z0-9-]* )",
    "Content-Type": APART,
}
_LINES = {name.upper() for name in _PARTED}
_REFUSED = "payment_service.header_repeated"


def _in_environ(name: str) -> str:
    prefix = "" if name == "Content-Type" else "HTTP_"
    return prefix + name.upper().replace("-", "_")


_BETWEEN = [(name, _in_environ(name), re.compile(mark)) for name, mark in _PARTED.items()]


class HeaderRepeated(DomainError):
    """A header that must be one came with two values."""

    code = "header_repeated"


def keep_apart(lines: list[tuple[str, str]]) -> None:
    """Joins, in place, what gunicorn would join by a comma. `lines` are a request's header lines
    as names in upper case and values; gunicorn makes the environment of them next."""
    names = [name for name, _ in lines]
    for twice in {name for name in _LINES if names.count(name) > 1}:
        value = APART.join(value for name, value in lines if name == twice)
        lines[:] = [*((name, sent) for name, sent in lines if name != twice), (twice, value)]


def one_of_each(app: WSGIApp) -> WSGIApp:
    """A WSGI wrapper: behind it each of these headers has one value. `refuse_repeated` tells of
    those that had two."""

    def wrapped(environ: dict[str, Any], start_response: Any) -> Any:
        for name, place, between in _BETWEEN:
            if sent := environ.get(place):
                values = set(between.split(sent))
                environ[place] = values.pop()
                if values:
                    environ[_REFUSED] = name
        return app(environ, start_response)

    return wrapped


def refuse_repeated(environ: dict[str, Any]) -> None:
    """Raises HeaderRepeated."""
    if name := environ.get(_REFUSED):
        raise HeaderRepeated(f"{name} came more than once, with different values; send one")
