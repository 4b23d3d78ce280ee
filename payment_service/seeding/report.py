"""What an import tells: what came in, what was wrong with the rest, what to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from payment_service.seeding.errors import BadRowsError

BAD_ROWS_SHOWN = 20
TRIPS_SHOWN = 100


@dataclass(frozen=True)
class BadRow:
    """`line` is the line of the file on which the row starts, counted from 1 with the header."""

    line: int
    reason: str


class BadRows(BadRowsError):
    """The file has rows that can't be loaded. `count` of them; `shown` are the first ones."""

    def __init__(self, path: Path, count: int, shown: tuple[BadRow, ...]) -> None:
        self.count = count
        self.shown = shown
        super().__init__(
            "\n".join(
                [
                    f"{path}: {_counted(count, 'bad row')}, so nothing was loaded:",
                    *_bad_rows(count, shown),
                    "Mend the file, or load the good rows with --skip-bad.",
                ]
            )
        )


@dataclass(frozen=True)
class ImportReport:
    """What an import did. `read` = `loaded` + `already_there` + `bad`.

    `bad_rows` are the first BAD_ROWS_SHOWN of `bad`; `bad_rows_path` is the file that has them
    all, None if there are none. `crowded_trips` are those where a loaded row shares the trip with
    another live payment. `ignored_columns` are columns of the file that mean nothing here.
    """

    path: Path
    read: int
    loaded: int
    already_there: int
    bad: int = 0
    bad_rows: tuple[BadRow, ...] = ()
    bad_rows_path: Path | None = None
    crowded_trips: tuple[int, ...] = ()
    ignored_columns: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The report as lines of plain text, warnings last."""
        told = [
            f"{self.path}: {_counted(self.read, 'row')} read, {self.loaded} loaded, "
            f"{self.already_there} already there, {self.bad} bad"
        ]
        if self.bad:
            told += [*_bad_rows(self.bad, self.bad_rows), f"Bad rows are in {self.bad_rows_path}"]
        return [*told, *self.warnings()]

    def warnings(self) -> list[str]:
        """What a person should look at although the import went well."""
        told = []
        if self.ignored_columns:
            names = ", ".join(name or "(no name)" for name in self.ignored_columns)
            told.append(f"Warning: columns that mean nothing here were ignored: {names}")
        if self.crowded_trips:
            named = ", ".join(map(str, self.crowded_trips[:TRIPS_SHOWN]))
            rest = len(self.crowded_trips) - TRIPS_SHOWN
            more = f" and {rest} more" if rest > 0 else ""
            told.append(
                f"Warning: {_counted(len(self.crowded_trips), 'trip')} paid more than once, or "
                f"with another payment still open beside: {named}{more}"
            )
        return told


def _bad_rows(count: int, shown: tuple[BadRow, ...]) -> list[str]:
    rest = count - len(shown)
    return [
        *(f"  line {row.line}: {row.reason}" for row in shown),
        *([f"  and {rest} more"] if rest > 0 else []),
    ]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
