"""When a payment was made: ISO 8601, or as strptime reads it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from payment_service.seeding.errors import SeedError

UNREADABLE = "-"

# A year more on either side could leave what Python's datetime holds once zones are applied.
FIRST_YEAR, LAST_YEAR = 1900, 9998

_PROBE = datetime(2001, 12, 31, 21, 59, 58, tzinfo=UTC)
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d"
_ISO = re.compile(
    rf"(\d{{4}}-\d\d-\d\d)(?:[Tt ]({_TIME}(?::[0-5]\d(?:[.]\d+)?)?)"
    r"(?: ?([Zz]|UTC|[+-]\d\d(?::?\d\d)?))?)?",
    re.ASCII,
)
_USUAL = re.compile(rf"(?:\d{{4}}-\d\d-\d\d[T ]{_TIME}:[0-5]\d\n)*", re.ASCII)


class Moments:
    """Reads times of one strptime format, or of ISO 8601 if there is none.

    Raises SeedError for a format that can't name a day. `complaint` is said of an unreadable time.
    """

    def __init__(self, date_format: str | None = None) -> None:
        self._format = date_format
        self.complaint = f"is no ISO 8601 date and time from {FIRST_YEAR} to {LAST_YEAR}"
        if date_format is not None:
            _check(date_format)
            self.complaint = f"is no date of the form {date_format}"

    def stand(self, cells: list[str]) -> bool:
        """Whether PostgreSQL reads all of `cells` right as they stand, found out at once."""
        if self._format is not None or not _USUAL.fullmatch("\n".join([*cells, ""])):
            return False
        if cells and (min(cells) < f"{FIRST_YEAR}" or max(cells) > f"{LAST_YEAR + 1}"):
            return False
        try:
            list(map(datetime.fromisoformat, cells))
        except ValueError:
            return False
        return True

    def read(self, cell: str) -> str:
        """The moment in ISO form, without an offset if it came without, or UNREADABLE."""
        text = cell.strip()
        try:
            found = self._read_iso(text) if self._format is None else self._read_other(text)
        except ValueError:
            return UNREADABLE
        if not FIRST_YEAR <= found.year <= LAST_YEAR:
            return UNREADABLE
        return (found.astimezone(UTC) if found.tzinfo else found).isoformat()

    @staticmethod
    def _read_iso(text: str) -> datetime:
        shape = _ISO.fullmatch(text)
        if shape is None:
            raise ValueError(text)
        day, time, zone = shape.groups(default="")
        offset = "Z" if zone in ("z", "UTC") else zone
        return datetime.fromisoformat(f"{day}T{time or '00:00'}{offset}")

    def _read_other(self, text: str) -> datetime:
        assert self._format is not None
        return datetime.strptime(text, self._format)  # noqa: DTZ007


def _check(date_format: str) -> None:
    if "%Z" in date_format:
        # strptime takes the name and forgets the zone.
        raise SeedError("--date-format: %Z is not read reliably; use %z, or SEED_TIMEZONE")
    try:
        read = datetime.strptime(_PROBE.strftime(date_format), date_format)  # noqa: DTZ007
    except ValueError as error:
        raise SeedError(f"--date-format {date_format!r}: {error}") from None
    if read.date() != _PROBE.date():
        raise SeedError(f"--date-format {date_format!r} does not name year, month and day")
