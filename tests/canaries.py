"""Whether a secret of the settings turns up in what the suite wrote: in answers, logs, journals,
databases and Redis.

Nothing is planted for it: whatever secret any app or service of the suite was given is looked for,
so a setting that comes new is looked for as well. tests/conftest.py looks, in each xdist worker;
what it finds fails the run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import redis
from flask import Flask, Response, request
from psycopg2 import sql
from sqlalchemy.engine import make_url

from payment_service import config
from payment_service.config.kinds import each

SECRETS = [
    field.name
    for table in (config.Settings, config.Parts)
    for field in dataclasses.fields(table)
    if field.metadata["kind"].metadata.get("secret")
]
"""Names of settings."""

SHORTEST, FEWEST = 10, 6
"""Characters, and different ones: a shorter value may be there by chance, and so may 32 times x."""

WRITTEN = (".log", ".jsonl")
"""The ends of the names of logs and journals. Other files are where secrets are kept."""


class Watch:
    """The secrets of a run, and where one was seen."""

    def __init__(self, *secrets: str) -> None:
        self._secrets = set(secrets)
        self.found: list[str] = []

    def note(self, settings: Mapping[str, Any]) -> None:
        """Settings that are in use from now on, by their names in lower case."""
        for name in SECRETS:
            value = settings.get(name) or ""
            if "://" in value:
                values = [urlsplit(value).password or ""]
            elif name == "encryption_keys":
                values = [one.partition(":")[2] for one in each(value)]
            else:
                values = each(value)  # of some there may be several, to change one for another
            self._secrets |= {
                one for one in values if len(one) >= SHORTEST and len(set(one)) >= FEWEST
            }

    def note_app(self, app: Flask) -> None:
        """Has what it answers looked at, too."""
        self.note(dataclasses.asdict(app.extensions["settings"]))
        # The first of these is called last, when the others have written their headers.
        app.after_request_funcs.setdefault(None, []).insert(0, self._look_at)

    def look(self, where: str, text: str) -> None:
        if any(secret in text for secret in self._secrets):
            self.found.append(where)

    def look_in_files(self, folder: Path) -> None:
        # Another worker's databases and files may go while this one looks; os.walk minds no folder
        # that is gone.
        for place, _, names in os.walk(folder):
            for path in (Path(place, name) for name in names):
                if path.suffix in WRITTEN and path.is_file():
                    with contextlib.suppress(FileNotFoundError):
                        self.look(str(path), path.read_text(errors="replace"))

    def look_in_database(self, url: str) -> None:
        """In each row as text, where bytes are hexadecimal. One that can't be looked at is told of
        in the same way."""
        if not self._secrets:
            return  # a pattern of nothing is found everywhere
        hidden = [secret.encode().hex() for secret in self._secrets]
        pattern = "|".join(re.escape(one) for one in [*sorted(self._secrets), *hidden])
        at = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        name = make_url(url).database
        try:
            with contextlib.closing(psycopg2.connect(at)) as connection:
                cursor = connection.cursor()
                cursor.execute("SET lock_timeout = '10s'")
                cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
                for (table,) in cursor.fetchall():
                    query = sql.SQL("SELECT count(*) FROM {} AS it WHERE it::text ~ %s")
                    cursor.execute(query.format(sql.Identifier(table)), [pattern])
                    if cursor.fetchone() != (0,):
                        self.found.append(f"{name}: {table}")
        except psycopg2.Error as error:
            self.found.append(f"{name} could not be looked at: {error}")

    def look_in_redis(self, url: str) -> None:
        with redis.Redis.from_url(url) as client:
            for key in client.scan_iter(count=1000):
                kept = client.get(key) if client.type(key) == b"string" else b""
                self.look(f"Redis: {key!r}", repr(key) + repr(kept))

    def _look_at(self, response: Response) -> Response:
        body = b"" if response.direct_passthrough else response.get_data()
        told = f"{response.headers}{body.decode(errors='replace')}"
        self.look(f"{request.method} {request.path}", told)
        return response


WATCH = Watch()
"""Of this process."""
