"""What keeps a file from being loaded, in words for the person who asked for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
from sqlalchemy.exc import DBAPIError, IntegrityError


class SeedError(Exception):
    """Nothing was loaded; the message says why."""


class BadRowsError(SeedError):
    """Rows of the file can't be loaded; the message names the file and the lines."""


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn what files and databases raise about `path` into one plain line without SQL."""
    try:
        yield
    except BadRowsError:
        raise
    except SeedError as error:
        raise SeedError(f"{path}: {error}") from None
    except OSError as error:
        raise SeedError(f"{error.filename or path}: {error.strerror or error}") from None
    except IntegrityError as error:
        raise SeedError(
            f"{path}: the same payments, or payments for the same trips, were made while the file "
            f"was read, so nothing was loaded; run the import again ({_said_by(error.orig)})"
        ) from None
    except DBAPIError as error:
        raise SeedError(f"{path}: the database refused: {_said_by(error.orig)}") from None
    except psycopg2.Error as error:
        raise SeedError(f"{path}: the database refused: {_said_by(error)}") from None


def _said_by(error: object) -> str:
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    return str(primary or str(error).strip().partition("\n")[0])
