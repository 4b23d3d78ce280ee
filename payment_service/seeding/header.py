"""The first line of the file: which column is where."""

from __future__ import annotations

import csv
from dataclasses import dataclass

from payment_service.seeding.errors import SeedError

COLUMNS = ("payment_id", "trip_id", "amount", "method", "status", "reference", "created_at")
NAMES = {"id": "payment_id"} | {name: name for name in COLUMNS}

# What a file of bad rows has more than the file it came from, so that it can be mended and fed in.
NOTES = ("line", "reason")


@dataclass(frozen=True)
class Header:
    """`titles` are the columns as the file heads them; `places` finds ours among them."""

    titles: tuple[str, ...]
    places: dict[str, int]

    @property
    def width(self) -> int:
        return len(self.titles)

    @property
    def ignored(self) -> tuple[str, ...]:
        used = set(self.places.values())
        return tuple(
            title
            for place, title in enumerate(self.titles)
            if place not in used and title.lower() not in NOTES
        )


def parse(line: bytes) -> Header:
    """The header in `line`. Raises SeedError if it is unreadable or a column is missing."""
    try:
        text = line.decode("utf-8-sig")
        titles = next(csv.reader([text.rstrip("\r\n")], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise SeedError(f"line 1: the header is not readable as CSV in UTF-8 ({error})") from None
    stripped = tuple(title.strip() for title in titles)
    known = [
        (NAMES[title.lower()], i) for i, title in enumerate(stripped) if title.lower() in NAMES
    ]
    places = dict(known)
    missing = [name for name in COLUMNS if name not in places]
    if missing:
        raise SeedError(
            f"line 1: the header has no column {', '.join(missing)}; it must name "
            f"{', '.join(COLUMNS)} (payment_id may be headed id), in any order"
        )
    if len(places) < len(known):
        twice = next(name for name in COLUMNS if sum(name == found for found, _ in known) > 1)
        raise SeedError(f"line 1: the header names the column {twice} more than once")
    return Header(stripped, places)
