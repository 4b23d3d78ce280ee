"""The provider catalog from CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects.postgresql import insert

from payment_service.domain.money import EXPONENTS
from payment_service.domain.vocabulary import Method
from payment_service.models import ProviderOffer
from payment_service.seeding.errors import SeedError, plain_errors

KEY = ("country_code", "currency", "payment_method", "provider_name")
COLUMNS = (*KEY, "is_active")
_ACTIVE = {"true": True, "false": False}


def load_catalog(
    engine: Engine, *, path: Path | str, written_down: Callable[[Connection, int], None]
) -> int:
    """Add the offers in the CSV file `path` that are missing, and commit; returns how many. If any,
    `written_down` is called last in the transaction, with their number, to say who did it.

    What is there stays as operators have edited it. `position` is the order in the file. If nothing
    is missing nothing is written, so that cached catalogs stay good. Raises SeedError.
    """
    path = Path(path)
    with plain_errors(path):
        offers = _read(path)
        with engine.begin() as connection:
            there = {
                tuple(row)
                for row in connection.execute(select(*(getattr(ProviderOffer, k) for k in KEY)))
            }
            missing = [offer for offer in offers if tuple(offer[k] for k in KEY) not in there]
            if missing:
                added = insert(ProviderOffer).values(missing).on_conflict_do_nothing()
                connection.execute(added)
                written_down(connection, len(missing))
    return len(missing)


def _read(path: Path) -> list[dict[str, Any]]:
    offers = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            if set(rows.fieldnames or ()) != set(COLUMNS):
                raise SeedError(f"the header must name {', '.join(COLUMNS)}")
            for position, row in enumerate(rows, start=1):
                offers.append(_offer(row, rows.line_num) | {"position": position})
    except (UnicodeDecodeError, csv.Error) as error:
        raise SeedError(f"not readable as CSV in UTF-8 ({error})") from None
    return offers


def _offer(row: dict[str, Any], line: int) -> dict[str, Any]:
    country, active = row["country_code"] or "", _ACTIVE.get((row["is_active"] or "").lower())
    if None in row or not row["provider_name"] or active is None:
        raise SeedError(f"line {line}: must have {len(COLUMNS)} columns, is_active true or false")
    if not (len(country) == 2 and country.isascii() and country.isalpha() and country.isupper()):
        raise SeedError(f"line {line}: {country!r} is no country code of two capital letters")
    if row["currency"] not in EXPONENTS:
        raise SeedError(f"line {line}: {row['currency']!r} is no currency in use")
    if row["payment_method"] not in list(Method):
        raise SeedError(f"line {line}: {row['payment_method']!r} is none of {', '.join(Method)}")
    return {key: row[key] for key in KEY} | {"is_active": active}
