"""Times that are written another way than ISO 8601, as strptime reads them."""

from __future__ import annotations

from datetime import UTC, datetime

from payment_service.seeding.errors import SeedError

_PROBE = datetime(2001, 12, 31, 21, 59, 58, tzinfo=UTC)


class Moments:
    """Reads times of one strptime format. Raises SeedError for a format that can't name a day."""

    def __init__(self, date_format: str) -> None:
        self._format = date_format
        try:
            read = datetime.strptime(_PROBE.strftime(date_format), date_format)  # noqa: DTZ007
        except ValueError as error:
            raise SeedError(f"--date-format {date_format!r}: {error}") from None
        if read.date() != _PROBE.date():
            raise SeedError(f"--date-format {date_format!r} does not name year, month and day")
        if "%Z" in date_format:
            # strptime takes the name and forgets the zone.
            raise SeedError("--date-format: %Z is not read reliably; use %z, or SEED_TIMEZONE")

    def read(self, text: str) -> tuple[str, str]:
        """(fault, "") or ("", the moment in ISO form, naive where the format names no offset)."""
        try:
            found = datetime.strptime(text.strip(), self._format)  # noqa: DTZ007
        except ValueError:
            return f"created_at is no date of the form {self._format}", ""
        return "", found.isoformat()
