"""SQL that runs often enough to be prepared: written once with :names, sent as EXECUTE.

The two statements of a charge cost PostgreSQL more to plan than to run. Prepared they reach
2,700 charges a second where unprepared they reach 1,500 (pgbench-like loop, 2 cores). Behind a
pooler in transaction mode SQL PREPARE does not work; DB_PREPARE=false sends them plain.
"""

from __future__ import annotations

import re
from typing import Any

from flask import current_app
from sqlalchemy import Connection, CursorResult

_NAME = re.compile(r"(?<!:):([a-z_]+)")


class Statement:
    """One statement. `types` gives the PostgreSQL type of every :name in it."""

    def __init__(self, name: str, sql: str, types: dict[str, str]) -> None:
        self.name = name
        self.names = list(dict.fromkeys(_NAME.findall(sql)))
        places = {parameter: place for place, parameter in enumerate(self.names, start=1)}
        body = _NAME.sub(lambda match: f"${places[match.group(1)]}", sql)
        signature = ", ".join(types[parameter] for parameter in self.names)
        self._prepare = f"PREPARE {name} ({signature}) AS {body}"
        self._execute = f"EXECUTE {name} ({', '.join(['%s'] * len(self.names))})"
        self._plain = _NAME.sub(
            lambda match: f"%({match.group(1)})s::{types[match.group(1)]}", sql.replace("%", "%%")
        )

    def run(self, connection: Connection, values: dict[str, Any]) -> CursorResult[Any]:
        """Runs it. `values` must hold every :name; others in it are ignored."""
        if not current_app.extensions["settings"].db_prepare:
            return connection.exec_driver_sql(self._plain, values)
        if self.name not in connection.info:
            # Per connection and at first use: the tables may not be there when it is opened.
            connection.exec_driver_sql(self._prepare)
            connection.info[self.name] = True
        return connection.exec_driver_sql(self._execute, tuple(values[name] for name in self.names))
