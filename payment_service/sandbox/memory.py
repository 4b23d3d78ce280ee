"""All that the sandbox remembers: tables of rows, in memory and in the journal."""

from __future__ import annotations

import threading
from collections import defaultdict
from itertools import islice
from typing import Any

from payment_service.sandbox.journal import Journal

Row = dict[str, Any]

OPERATIONS = ("charge", "capture", "void", "refund")
"""Tables of the sandbox's own provider, which are found by their reference too."""


class Memory:
    """Rows by table and id, each journaled before it can be seen. A dialect's tables bear its name:
    `stripe.intents`.

    Rows are never changed in place: an update puts a new dict under the same id, so a snapshot
    of a table can be written out without the lock. Hold `lock` around read-decide-put.
    """

    def __init__(self, journal: Journal) -> None:
        self.lock = threading.RLock()
        self._journal = journal
        self._tables: defaultdict[str, dict[str, Row]] = defaultdict(dict)
        self._references: dict[str, tuple[str, str]] = {}
        self._forget()
        for entry in journal.replay():
            self._apply(entry)

    def _forget(self) -> None:
        self._tables = defaultdict(dict)
        self._references = {}

    def _apply(self, entry: dict[str, Any]) -> None:
        if "rows" in entry:
            for table, row in entry["rows"]:
                self._keep(table, row)
            return
        table = entry["table"]
        if "removed" in entry:
            self._tables[table].pop(entry["removed"], None)
        else:
            self._tables[table] = {}

    def _keep(self, table: str, row: Row) -> None:
        self._tables[table][row["id"]] = row
        if table in OPERATIONS:
            # The first under a reference is the one that look-ups see; a double shows in lists.
            self._references.setdefault(row["reference"], (table, row["id"]))

    def put(self, table: str, row: Row) -> Row:
        """Insert a row, or replace the one with its id."""
        return self.put_all([(table, row)])[0]

    def put_all(self, rows: list[tuple[str, Row]]) -> list[Row]:
        """Put several rows as one journal line: after a kill, all of them are there or none."""
        with self.lock:
            self._journal.append({"rows": rows})
            for table, row in rows:
                self._keep(table, row)
        return [row for _, row in rows]

    def remove(self, table: str, row_id: str) -> None:
        """Drop one row of a table that no reference points to."""
        with self.lock:
            self._journal.append({"table": table, "removed": row_id})
            self._tables[table].pop(row_id, None)

    def empty(self, table: str) -> None:
        """Drop all rows of a table that no reference points to."""
        with self.lock:
            self._journal.append({"table": table})
            self._tables[table] = {}

    def clear(self) -> None:
        """Forget everything, on disk too."""
        with self.lock:
            self._journal.clear()
            self._forget()

    def get(self, table: str, row_id: str) -> Row | None:
        """The row with that id."""
        return self._tables[table].get(row_id)

    def by_reference(self, reference: object) -> Row | None:
        """The first operation of any kind that was done under this reference."""
        found = self._references.get(reference) if isinstance(reference, str) else None
        return None if found is None else self._tables[found[0]][found[1]]

    def rows(self, table: str) -> list[Row]:
        """A snapshot of a table, oldest first."""
        with self.lock:
            return list(self._tables[table].values())

    def changed_since(self, mark: tuple[str, str]) -> list[Row]:
        """Operations of every kind by (updated_at, id), from that mark on."""
        with self.lock:
            rows = [row for table in OPERATIONS for row in self._tables[table].values()]
        found = [row for row in rows if (row["updated_at"], row["id"]) >= mark]
        return sorted(found, key=lambda row: (row["updated_at"], row["id"]))

    def newest(self, table: str, limit: int) -> list[Row]:
        """The last rows of a table, newest first, without copying the rest."""
        with self.lock:
            return list(islice(reversed(self._tables[table].values()), limit))

    def count(self, table: str) -> int:
        """How many rows a table has."""
        return len(self._tables[table])
