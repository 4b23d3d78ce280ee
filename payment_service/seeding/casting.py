"""From staged text to typed rows, with a reason for every cell that can't be read.

Temporary tables: `staging` holds what the file says, `fresh` the rows with their types, `faulty`
the lines that can't be loaded and why.
"""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import Connection

from payment_service.domain.money import EXPONENTS
from payment_service.domain.vocabulary import METHOD_ALIASES, Method, PaymentStatus
from payment_service.seeding.dates import UNREADABLE
from payment_service.seeding.header import COLUMNS, Header

HISTORY = (
    PaymentStatus.PENDING,
    PaymentStatus.SUCCESS,
    PaymentStatus.FAILED,
    PaymentStatus.CANCELLED,
    PaymentStatus.REFUNDED,
)
METHOD_WORDS = {str(method): str(method) for method in Method} | METHOD_ALIASES
STATUS_WORDS = {str(status): str(status) for status in HISTORY} | {"COMPLETED": "SUCCESS"}

LARGEST_ID = 2**63 - 1
# The identity moves past the largest payment_id, and all that come later need room behind it.
LARGEST_PAYMENT_ID = LARGEST_ID - 10**9
LONGEST_REFERENCE = 100
# Characters: 15 digits fit a bigint of minor units in every currency.
LONGEST_AMOUNT = 15
# Of what stands in a cell, in the reason for refusing it.
SHOWN = 40


def create_staging(connection: Connection, header: Header) -> None:
    """The table for COPY: line, fault, moment and the file's columns c0, c1, ... in its order."""
    cells = ", ".join(f"c{place} text" for place in range(header.width))
    connection.exec_driver_sql(
        f"CREATE TEMP TABLE staging (line bigint, fault text, moment text, {cells}) ON COMMIT DROP"
    )
    connection.exec_driver_sql("CREATE TEMP TABLE faulty (line bigint, reason text) ON COMMIT DROP")


def type_rows(
    connection: Connection, header: Header, *, currency: str, max_amount: Decimal, undated: str
) -> None:
    """Fill `fresh` from `staging`, and `faulty` with the lines that could not be read.

    `max_amount` is in major units of `currency`. `undated` is what to say of a created_at that was
    found to be unreadable.
    A cast that fails would end the import at the first bad row, so each is guarded by the shape of
    its text. OFFSET 0 keeps the planner from computing a column once for each of its uses.
    """
    said = ", ".join(f"c{header.places[name]} AS said_{name}" for name in COLUMNS)
    typed = {
        "payment_id": _id("said_payment_id", LARGEST_PAYMENT_ID),
        "trip_id": _id("said_trip_id", LARGEST_ID),
        "amount": _amount("said_amount", EXPONENTS[currency], max_amount),
        "method": _word("said_method", METHOD_WORDS),
        "status": _word("said_status", STATUS_WORDS),
        "reference": f"CASE WHEN length(said_reference) <= {LONGEST_REFERENCE}"
        " AND btrim(said_reference) <> '' THEN said_reference END",
        "created_at": f"nullif(coalesce(moment, said_created_at), '{UNREADABLE}')::timestamptz",
    }
    cells = ", ".join(f"{sql} AS {name}" for name, sql in typed.items())
    connection.exec_driver_sql(
        f"""
        CREATE TEMP TABLE fresh ON COMMIT DROP AS
        SELECT line, {", ".join(typed)}, {_faults(currency, max_amount)} AS fault
        FROM (
            SELECT *, {cells}
            FROM (SELECT line, moment, {said} FROM staging WHERE fault IS NULL) AS staged
            OFFSET 0
        ) AS typed
        """,  # noqa: S608 (words and column numbers of ours)
        {"undated": undated},
    )
    connection.exec_driver_sql(
        "INSERT INTO faulty SELECT line, fault FROM staging WHERE fault IS NOT NULL"
        " UNION ALL SELECT line, fault FROM fresh WHERE fault IS NOT NULL"
    )
    connection.exec_driver_sql("ANALYZE fresh (payment_id, trip_id, reference, status)")


def _id(cell: str, largest: int) -> str:
    return f"""CASE
        WHEN {cell} !~ '^\\s*[0-9]+\\s*$' OR length({cell}) > 40 THEN NULL
        WHEN length({cell}) < 19 THEN nullif({cell}::bigint, 0)
        WHEN {cell}::numeric BETWEEN 1 AND {largest} THEN {cell}::bigint
    END"""


def _amount(cell: str, digits: int, most: Decimal) -> str:
    return f"""CASE
        WHEN {cell} !~ '{_amount_shape(digits)}' OR length({cell}) > {LONGEST_AMOUNT} THEN NULL
        WHEN {cell}::numeric <= {most:f} THEN nullif(({cell}::numeric * {10**digits})::bigint, 0)
    END"""


def _amount_shape(digits: int) -> str:
    """Written out, because PostgreSQL's patterns are slow with counted repeats."""
    fraction = f"(?:[.][0-9]{'[0-9]?' * (digits - 1)})?" if digits else ""
    return f"^\\s*[0-9]+{fraction}\\s*$"


def _word(cell: str, words: dict[str, str]) -> str:
    cases = " ".join(f"WHEN '{word}' THEN '{meant}'" for word, meant in words.items())
    return f'CASE upper(btrim({cell}) COLLATE "C") {cases} END'


def _faults(currency: str, max_amount: Decimal) -> str:
    """SQL of all that is wrong with a row; NULL where nothing is, which is found out cheaply."""
    digits = EXPONENTS[currency]
    amount = f"""CASE
        WHEN said_amount ~ '^\\s*[0.]+\\s*$' THEN 'must be more than 0'
        WHEN said_amount ~ '{_amount_shape(digits)}' THEN 'is over MAX_AMOUNT, {max_amount:f}'
        WHEN said_amount ~ '^\\s*[0-9]+[.][0-9]+\\s*$' THEN 'has more than {digits} decimals'
        ELSE 'is no plain decimal number such as 104.86'
    END"""
    faults = [
        _fault("payment_id", f"'is no whole number from 1 to {LARGEST_PAYMENT_ID}'"),
        _fault("trip_id", f"'is no whole number from 1 to {LARGEST_ID}'", optional=True),
        _fault("amount", amount),
        _fault("method", f"'is none of {', '.join(METHOD_WORDS)}'"),
        _fault("status", f"'is none of {', '.join(STATUS_WORDS)}'"),
        _fault("reference", f"'is longer than {LONGEST_REFERENCE} characters'"),
        _fault("created_at", "%(undated)s"),
    ]
    good = "(payment_id, amount, method, status, reference, created_at) IS NOT NULL"
    return f"""CASE
        WHEN {good} AND (trip_id IS NOT NULL OR said_trip_id IS NULL) THEN NULL
        ELSE nullif(concat_ws('; ', {", ".join(faults)}), '')
    END"""


def _fault(column: str, complaint: str, *, optional: bool = False) -> str:
    """`amount "what stands there" is wrong`, or `amount is missing`; `complaint` is SQL."""
    missing = "NULL" if optional else f"'{column} is missing'"
    return f"""CASE
        WHEN {column} IS NOT NULL THEN NULL
        WHEN said_{column} ~ '\\S'
        THEN '{column} "' || left(btrim(said_{column}), {SHOWN}) || '" ' || {complaint}
        ELSE {missing}
    END"""
