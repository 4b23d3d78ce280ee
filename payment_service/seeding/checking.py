"""The checks of an import, set by set: from staged text to `fresh`, the rows that are to be loaded.

Tables, all temporary: `staging` holds what the file says; `fresh` the rows that are still good, with
their types; `faulty` the lines that are not, each with its reasons.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from payment_service.domain.money import EXPONENTS
from payment_service.domain.vocabulary import METHOD_ALIASES, Method, PaymentStatus
from payment_service.seeding.header import Header

HISTORY = (
    PaymentStatus.PENDING,
    PaymentStatus.SUCCESS,
    PaymentStatus.FAILED,
    PaymentStatus.CANCELLED,
    PaymentStatus.REFUNDED,
)
METHOD_WORDS = {str(method): str(method) for method in Method} | METHOD_ALIASES
STATUS_WORDS = {str(status): str(status) for status in HISTORY} | {"COMPLETED": "SUCCESS"}

# The identity must be able to move past the largest one, with room for all that comes after.
LARGEST_PAYMENT_ID = 2**63 - 1 - 10**9
LARGEST_ID = 2**63 - 1
WHOLE_DIGITS = 12
"""Of an amount in major units: sums of any history then stay within a bigint of minor units."""
LONGEST_REFERENCE = 100

# Year, month, day; and after it, all optional: time, fraction, offset.
_ISO = (
    "^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    "(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.][0-9]{1,9})?)?"
    "(?:Z| ?[+-](?:0[0-9]|1[0-5])(?::?[0-5][0-9])?)?)?$"
)


def create_staging(connection: Connection, header: Header) -> None:
    """The table for COPY: line, fault, moment and the file's columns c0, c1, ... in its order."""
    cells = ", ".join(f"c{place} text" for place in range(header.width))
    connection.exec_driver_sql(
        f"CREATE TEMP TABLE staging (line bigint, fault text, moment text, {cells}) ON COMMIT DROP"
    )
    connection.exec_driver_sql("CREATE TEMP TABLE faulty (line bigint, reason text) ON COMMIT DROP")


@dataclass(frozen=True)
class Reading:
    """How the text of one file is meant."""

    header: Header
    currency: str

    def cell(self, name: str) -> str:
        return f"c{self.header.places[name]}"


def type_rows(connection: Connection, reading: Reading) -> None:
    """Fill `fresh` with what could be read, and `faulty` with the rest.

    A cast that fails would end the import at the first bad row, so each is guarded by the shape of
    its text. OFFSET 0 keeps the planner from computing every column twice.
    """
    connection.exec_driver_sql(
        f"""
        CREATE TEMP TABLE fresh ON COMMIT DROP AS
        SELECT line, payment_id, trip_id, amount, method, status, reference, created_at,
               nullif(concat_ws('; ', {", ".join(_faults(reading))}), '') AS fault
        FROM (
            SELECT line,
                   {_id(reading.cell("payment_id"), LARGEST_PAYMENT_ID)} AS payment_id,
                   {_id(reading.cell("trip_id"), LARGEST_ID)} AS trip_id,
                   {_amount(reading)} AS amount,
                   {_word(reading.cell("method"), METHOD_WORDS)} AS method,
                   {_word(reading.cell("status"), STATUS_WORDS)} AS status,
                   {reading.cell("reference")} AS reference,
                   {_moment("written_at")} AS created_at,
                   {reading.cell("payment_id")} AS raw_payment_id,
                   {reading.cell("trip_id")} AS raw_trip_id,
                   {reading.cell("amount")} AS raw_amount,
                   {reading.cell("method")} AS raw_method,
                   {reading.cell("status")} AS raw_status,
                   {reading.cell("created_at")} AS raw_created_at
            FROM (
                SELECT *, coalesce(moment, upper(btrim({reading.cell("created_at")}))) AS written_at
                FROM staging WHERE fault IS NULL OFFSET 0
            ) AS staged
            OFFSET 0
        ) AS typed
        """
    )
    connection.exec_driver_sql(
        "INSERT INTO faulty SELECT line, fault FROM staging WHERE fault IS NOT NULL"
        " UNION ALL SELECT line, fault FROM fresh WHERE fault IS NOT NULL"
    )
    connection.exec_driver_sql("ANALYZE fresh (payment_id, trip_id, reference, status)")


def _id(cell: str, largest: int) -> str:
    return f"""CASE
        WHEN {cell} ~ '^\\s*[0-9]{{1,18}}\\s*$' THEN nullif({cell}::bigint, 0)
        WHEN {cell} ~ '^\\s*[0-9]{{19}}\\s*$' AND {cell}::numeric <= {largest} THEN {cell}::bigint
    END"""


def _amount(reading: Reading) -> str:
    cell, digits = reading.cell("amount"), EXPONENTS[reading.currency]
    fraction = f"(?:[.][0-9]{{1,{digits}}})?" if digits else ""
    return (
        f"CASE WHEN {cell} ~ '^\\s*[0-9]{{1,{WHOLE_DIGITS}}}{fraction}\\s*$'"
        f" THEN ({cell}::numeric * {10**digits})::bigint END"
    )


def _word(cell: str, words: dict[str, str]) -> str:
    cases = " ".join(f"WHEN '{word}' THEN '{meant}'" for word, meant in words.items())
    return f"CASE upper(btrim({cell})) {cases} END"


def _moment(cell: str) -> str:
    """Without an offset the session's time zone holds. The calendar is asked for days over 28."""
    return f"""CASE
        WHEN {cell} !~ '{_ISO}' OR left({cell}, 4) NOT BETWEEN '1900' AND '9998' THEN NULL
        WHEN substr({cell}, 9, 2) <= '28' OR left({cell}, 7) =
            to_char((left({cell}, 7) || '-01')::date + substr({cell}, 9, 2)::int - 1, 'YYYY-MM')
        THEN {cell}::timestamptz
    END"""


def _faults(reading: Reading) -> list[str]:
    """SQL of what is wrong with a row, column by column; NULL where nothing is."""
    currency, digits = reading.currency, EXPONENTS[reading.currency]
    return [
        "CASE WHEN payment_id IS NULL THEN 'payment_id ' || "
        + _said("raw_payment_id", f"is no whole number from 1 to {LARGEST_PAYMENT_ID}")
        + " END",
        "CASE WHEN trip_id IS NULL AND raw_trip_id !~ '^\\s*$' THEN 'trip_id ' || "
        + _said("raw_trip_id", f"is no whole number from 1 to {LARGEST_ID}")
        + " END",
        "CASE WHEN amount = 0 THEN 'amount must be more than 0' WHEN amount IS NOT NULL THEN NULL"
        f" WHEN raw_amount ~ '^\\s*[0-9]{{{WHOLE_DIGITS + 1},}}([.][0-9]*)?\\s*$'"
        " THEN 'amount ' || " + _said("raw_amount", "is too large") + " WHEN raw_amount ~"
        f" '^\\s*[0-9]+[.][0-9]+\\s*$' THEN 'amount ' || "
        + _said("raw_amount", f"has more decimals than {currency} has ({digits})")
        + " ELSE 'amount ' || "
        + _said("raw_amount", "is no plain decimal number such as 104.86")
        + " END",
        "CASE WHEN method IS NULL THEN 'method ' || "
        + _said("raw_method", f"is none of {', '.join(METHOD_WORDS)}")
        + " END",
        "CASE WHEN status IS NULL THEN 'status ' || "
        + _said("raw_status", f"is none of {', '.join(STATUS_WORDS)}")
        + " END",
        "CASE WHEN reference !~ '\\S' OR reference IS NULL THEN 'reference is missing'"
        f" WHEN length(reference) > {LONGEST_REFERENCE}"
        f" THEN 'reference is longer than {LONGEST_REFERENCE} characters' END",
        "CASE WHEN created_at IS NULL THEN 'created_at ' || "
        + _said("raw_created_at", "is no ISO 8601 date and time from 1900 to 9998")
        + " END",
    ]


def _said(cell: str, complaint: str) -> str:
    """`"what stands there" is wrong`, or `is missing`."""
    quoted = f"'\"' || left(btrim({cell}), 40) || '\" {complaint}'"
    return f"CASE WHEN {cell} ~ '\\S' THEN {quoted} ELSE 'is missing' END"


def find_doubles(connection: Connection) -> None:
    """Report every later row whose id or reference an earlier row of the file has used."""
    for column in ("payment_id", "reference"):
        connection.exec_driver_sql(
            f"""
            INSERT INTO faulty
            SELECT line, '{column} ' || {column} || ' is used on line ' || first || ' already'
            FROM fresh JOIN (
                SELECT {column}, min(line) AS first FROM fresh WHERE {column} IS NOT NULL
                GROUP BY {column} HAVING count(*) > 1
            ) AS used USING ({column})
            WHERE line > first
            """
        )


def drop_known(connection: Connection, *, currency: str) -> int:
    """Take the rows that are in `payments` already out of `fresh`; returns how many.

    A row is there if the payment stands as the file says. If the file says PENDING and the payment
    has moved on here since, its method, amount, currency and status are ours to change: a charge
    takes the fare, by the provider and method that it was asked for.
    """
    return connection.exec_driver_sql(
        """
        DELETE FROM fresh USING payments AS p
        WHERE p.payment_id = fresh.payment_id AND p.reference = fresh.reference
          AND p.created_at = fresh.created_at AND p.trip_id IS NOT DISTINCT FROM fresh.trip_id
          AND ((p.status, p.amount, p.method, p.currency)
                   = (fresh.status, fresh.amount, fresh.method, %(currency)s)
               OR (fresh.status = 'PENDING' AND p.version > 1))
          AND fresh.line NOT IN (SELECT line FROM faulty)
        """,
        {"currency": currency},
    ).rowcount


def find_conflicts(connection: Connection, *, currency: str) -> None:
    """Report rows whose id or reference belongs to another payment, or to one with other content."""
    connection.exec_driver_sql(
        """
        INSERT INTO faulty
        SELECT fresh.line, 'payment_id ' || p.payment_id || ' is there already with another '
            || concat_ws(', ',
                CASE WHEN p.reference <> fresh.reference THEN 'reference' END,
                CASE WHEN p.trip_id IS DISTINCT FROM fresh.trip_id THEN 'trip_id' END,
                CASE WHEN p.created_at <> fresh.created_at THEN 'created_at' END,
                CASE WHEN p.amount <> fresh.amount THEN 'amount' END,
                CASE WHEN p.currency <> %(currency)s THEN 'currency' END,
                CASE WHEN p.method <> fresh.method THEN 'method' END,
                CASE WHEN p.status <> fresh.status THEN 'status' END)
        FROM fresh JOIN payments AS p USING (payment_id) WHERE fault IS NULL
        UNION ALL
        SELECT fresh.line, 'reference ' || p.reference || ' belongs to payment ' || p.payment_id
        FROM fresh JOIN payments AS p USING (reference)
        WHERE p.payment_id <> fresh.payment_id AND fault IS NULL
        """,
        {"currency": currency},
    )


def drop_faulty(connection: Connection) -> int:
    """Take the faulty rows out of `fresh`; returns how many lines are faulty."""
    connection.exec_driver_sql("DELETE FROM fresh WHERE line IN (SELECT line FROM faulty)")
    return int(connection.exec_driver_sql("SELECT count(DISTINCT line) FROM faulty").scalar_one())
