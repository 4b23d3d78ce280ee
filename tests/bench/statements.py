"""The service's own SQL of a charge, as a pgbench script: what PostgreSQL does without Python.

The statements are those that the server logged while the service made one charge, so the script
follows the service whatever it sends, and shows how many round trips a charge takes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

from tests.bench.world import Servers
from tests.running_service import Service

KEY, ORDER = "bench-statement-key", 777000777000777
_STATEMENT = re.compile(r"LOG:  statement: (.*(?:\n\t.*)*)")
_PREPARE = re.compile(r"PREPARE (\w+) \((.*?)\) AS (.*)", re.S)
_EXECUTE = re.compile(r"EXECUTE (\w+) \((.*)\)\s*$", re.S)
_ARGUMENT = re.compile(r"(?:[^',]|E?'(?:[^']|'')*')+")


@dataclass(frozen=True)
class Sent:
    """What one charge sent: its statements with the arguments put in, and the answer."""

    trips: list[str]
    statements: list[str]
    answer: dict[str, Any]


def capture(servers: Servers, service: Service, database: str) -> Sent:
    """Lets the service make one charge while the server logs its statements. Restarts it twice:
    settings of a database hold for new connections, and PREPARE is sent once per connection."""
    servers.query("postgres", f"ALTER DATABASE {database} SET log_statement = 'all'")
    service.kill()
    service.start(WEB_WORKERS="1")
    prepared, _ = _charge(servers, service, "first-one-prepares", ORDER - 1)
    trips, answer = _charge(servers, service, KEY, ORDER)
    servers.query("postgres", f"ALTER DATABASE {database} RESET log_statement")
    service.kill()
    service.start(WEB_WORKERS="2")
    bodies = {match[1]: match for match in map(_PREPARE.match, prepared) if match}
    whole = [_filled(trip, bodies) for trip in trips]
    return Sent([_name(trip) for trip in trips], whole, answer)


def _charge(
    servers: Servers, service: Service, key: str, order: int
) -> tuple[list[str], dict[str, Any]]:
    log = servers.directory / "postgres" / "postgres.log"
    start = log.stat().st_size
    body = {"order_id": order, "rider_id": 7, "driver_id": 8, "amount": "10.50", "method": "CASH"}
    answer = service.post("/v1/payments/charge", body, headers={"Idempotency-Key": key})
    if answer.status_code != 201:
        raise RuntimeError(f"a charge was answered {answer.status_code}: {answer.text[:500]}")
    return _logged(log, start), answer.json()


def as_script(sent: Sent, path: Path) -> Path:
    """Writes a pgbench script that makes such a charge with ids of its own at each run."""
    lines = [r"\set n random(1, 9000000000000000)"]
    for statement in _templates(sent):
        writes = "INSERT INTO payments" in statement
        lines.append(statement + (r" \gset" if writes else ";"))
    path.write_text("\n".join(lines) + "\n")
    return path


def explain(servers: Servers, database: str, sent: Sent) -> list[list[str]]:
    """EXPLAIN (ANALYZE, BUFFERS, WAL) of the statements on a charge that is undone then."""
    url = servers.url(database).set(drivername="postgresql")
    connection = psycopg2.connect(url.render_as_string(hide_password=False))
    try:
        with connection.cursor() as cursor:
            for number in (ORDER + 1, ORDER + 2):  # the first fills the connection's caches
                found = [_explained(cursor, one, number) for one in _templates(sent)]
        return found
    finally:
        connection.rollback()
        connection.close()


def _explained(cursor: Any, template: str, number: int) -> list[str]:
    if ":payment_id" in template:
        cursor.execute("SELECT currval(pg_get_serial_sequence('payments', 'payment_id'))")
        template = template.replace("((:payment_id)::", f"(({cursor.fetchone()[0]})::")
    template = template.replace(":n)", f"{number})").replace(":n ", f"{number} ")
    cursor.execute("EXPLAIN (ANALYZE, BUFFERS, WAL) " + template)
    return [line for (line,) in cursor.fetchall()]


def _templates(sent: Sent) -> list[str]:
    """The statements with pgbench's variables where each charge has values of its own."""
    reference = sent.answer["reference"]
    variables = {
        f"'{KEY}'": "'k' || :n",
        str(ORDER): ":n",
        f"'{reference}'": "'PAY-' || :n",
        f"'{reference}-1'": "'PAY-' || :n || '-1'",
        str(sent.answer["payment_id"]): ":payment_id",
    }
    found = []
    for statement in sent.statements:
        for literal, variable in variables.items():
            statement = statement.replace(f"(({literal})::", f"(({variable})::")
        found.append(statement)
    return found


def _logged(log: Path, start: int) -> list[str]:
    with log.open() as file:
        file.seek(start)
        found = _STATEMENT.findall(file.read())
    return [one.replace("\n\t", "\n") for one in found]


def _name(trip: str) -> str:
    match = _EXECUTE.match(trip)
    return match[1] if match else " ".join(trip.split())[:60]


def _filled(trip: str, bodies: dict[str, re.Match[str]]) -> str:
    """An EXECUTE as the statement that it runs, its arguments in the places."""
    match = _EXECUTE.match(trip)
    if match is None:
        return trip
    _, types, body = bodies[match[1]].groups()
    typed = [
        f"(({_without_colons(argument.strip())})::{kind.strip()})"
        for argument, kind in zip(_ARGUMENT.findall(match[2]), types.split(","), strict=True)
    ]
    return re.sub(r"\$(\d+)", lambda place: typed[int(place[1]) - 1], body).strip()


def _without_colons(argument: str) -> str:
    """pgbench takes :name for a variable, also within quotes."""
    literal, cast, kind = argument.partition("'::")
    if cast:
        return _without_colons(literal + "'") + "::" + kind
    if ":" not in argument:
        return argument
    if not argument.startswith("E"):
        argument = "E" + argument.replace("\\", "\\\\")
    return argument.replace(":", r"\x3a")
