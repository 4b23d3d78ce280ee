"""The audit log: one chain of acts, written with the act itself, and whoever gets around it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import BigInteger, DateTime, LargeBinary, text
from sqlalchemy.exc import IntegrityError

from payment_service.domain.acts import Act
from payment_service.extensions import db
from payment_service.models import AuditEntry
from payment_service.services import audit_entries, audit_log, digests
from tests.books import at_once, execute, row, rows
from tests.fixtures import MakeApp
from tests.sisters import Make, apps_on, give_back, pay

COLUMNS = list(AuditEntry.__table__.c)
FITS = "every row and chain fits"


@pytest.fixture
def make(fresh_database: str, make_app: MakeApp) -> Make:
    return apps_on(fresh_database, make_app)


@pytest.fixture
def app(make: Make) -> Flask:
    return make()


def write(act: Act = Act.LOGGED_IN, **more: Any) -> None:
    audit_log.write(actor="operator:7", act=act, **more)
    db.session.commit()


def act(app: Flask, act: Act = Act.LOGGED_IN, **more: Any) -> None:
    with app.app_context():
        write(act, **more)


def some_acts(app: Flask, count: int = 5) -> None:
    """Acts in which every column says something."""
    for number in range(1, count + 1):
        with app.test_request_context(headers={"X-Request-ID": f"r-{number}"}):
            app.preprocess_request()
            write(
                object=f"operator:{number}",
                reason="as asked",
                body={"from": "viewer", "to": "admin"},
                session_id=number,
                address="10.0.0.9",
            )


def audit(app: Flask, *arguments: str, code: int = 0) -> str:
    result = app.test_cli_runner().invoke(args=["audit", *arguments])
    assert result.exit_code == code, result.output
    return str(result.output)


def acts(app: Flask) -> list[dict[str, Any]]:
    return rows(app, "SELECT * FROM audit_log ORDER BY audit_id")


def tamper(app: Flask, statement: str, **values: Any) -> None:
    """What only the owner of the table can do."""
    execute(app, "ALTER TABLE audit_log DISABLE TRIGGER audit_log_is_append_only")
    assert execute(app, statement, **values) > 0


def kept(app: Flask, file: Path) -> str:
    """Appends the digest as of now, and gives its line. The next act comes later than that."""
    with app.app_context():
        line = str(digests.digest(until=now(app)))
    with file.open("a") as opened:
        opened.write(f"{line}\n")
    return line


def now(app: Flask) -> datetime:
    found: datetime = row(app, "SELECT clock_timestamp() AS now")["now"]
    return found


# -- what stands there


def test_an_act_says_who_did_what_from_where(app: Flask) -> None:
    some_acts(app, 2)
    first, second = acts(app)
    assert (first["audit_id"], second["audit_id"]) == (1, 2)
    assert {name: second[name] for name in second.keys() - {"at", "chain"}} == {
        "audit_id": 2,
        "actor": "operator:7",
        "session_id": 2,
        "request_id": "r-2",
        "address": "10.0.0.9",
        "act": "logged_in",
        "object": "operator:2",
        "reason": "as asked",
        "body": '{"from":"viewer","to":"admin"}',
    }
    assert first["at"] <= second["at"] <= now(app)


def test_the_request_says_what_nobody_gives(app: Flask) -> None:
    with app.test_request_context(
        headers={"X-Request-ID": "r-9"}, environ_base={"REMOTE_ADDR": "192.0.2.4"}
    ):
        app.preprocess_request()
        g.session_id = 12
        write()
    act(app)
    served, alone = acts(app)
    names = ("request_id", "session_id", "address")
    assert [served[name] for name in names] == ["r-9", 12, "192.0.2.4"]
    assert [alone[name] for name in names] == [None, None, None]


def test_the_hash_is_what_the_docs_say(app: Flask) -> None:
    some_acts(app, 2)
    act(app, Act.LOG_IN_FAILED, reason="naïve 密")
    head = b""
    for found in acts(app):
        chain = found.pop("chain")
        said = {name: value for name, value in found.items() if value is not None}
        said["at"] = f"{found['at'].astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        told = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        head = hashlib.sha256(head + told.encode()).digest()
        assert bytes(chain) == head


def test_an_act_that_is_taken_back_leaves_no_gap(app: Flask) -> None:
    act(app)
    with app.app_context():
        audit_log.write(actor="operator:7", act=Act.LOGGED_OUT)
        db.session.rollback()
    act(app)
    assert [found["audit_id"] for found in acts(app)] == [1, 2]
    assert "0 payments, 0 events, 2 acts: " + FITS in audit(app, "verify")


def test_a_clock_that_was_put_back_puts_no_act_before_another(app: Flask) -> None:
    """A digest is over what was written until then: it must stay so."""
    act(app)
    tamper(app, "UPDATE audit_log SET at = now() + interval '1 hour'")
    act(app)
    first, second = acts(app)
    assert first["at"] == second["at"]


def test_tries_of_one_unknown_name_are_told_alike_and_not_told(make: Make) -> None:
    told = []
    for key in ("a" * 32, "b" * 32):
        with make(secret_key=key).app_context():
            told.append([audit_log.unknown_name(name) for name in ("Hunter2!", "Hunter2!", "x")])
    (one, again, other), (elsewhere, *_) = told
    assert one == again != other
    assert one != elsewhere, "or whoever reads the table could try passwords on it"
    assert "Hunter" not in one and len(one) == len("unknown:") + 8


# -- what the database refuses


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET reason = 'x'",
        "UPDATE audit_log SET reason = 'x' WHERE false",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
    ],
)
def test_acts_are_append_only(app: Flask, statement: str) -> None:
    act(app)
    with pytest.raises(IntegrityError, match="append-only"):
        execute(app, statement)


def test_an_act_that_nobody_knows_is_refused(app: Flask) -> None:
    with pytest.raises(IntegrityError, match="ck_audit_log_act"):
        act(app, "waved")  # type: ignore[arg-type]


def test_no_two_acts_follow_the_same(app: Flask) -> None:
    """Whoever writes without the lock gets nothing written."""
    act(app)
    again = "INSERT INTO audit_log SELECT audit_id, now(), actor, session_id, request_id, address,"
    with pytest.raises(IntegrityError, match="pk_audit_log"):
        execute(app, f"{again} act, object, reason, body, chain FROM audit_log")


# -- many at once


def test_eight_threads_leave_no_gap_and_no_fork(app: Flask) -> None:
    """One in five takes back what it wrote."""

    def go_on() -> None:
        for number in range(25):
            with app.app_context():
                audit_log.write(actor="operator:7", act=Act.LOGGED_IN)
                if number % 5:
                    db.session.commit()
                else:
                    db.session.rollback()

    at_once([go_on] * 8)
    assert [found["audit_id"] for found in acts(app)] == list(range(1, 161))
    assert "160 acts: " + FITS in audit(app, "verify")


def test_an_act_waits_for_no_row_while_others_wait_for_it(app: Flask) -> None:
    """What the session still had to write is written before the chain is held."""
    with app.app_context():
        entry = AuditEntry(
            audit_id=-1, at=now(app), actor="operator:7", act=Act.LOGGED_OUT, chain=b""
        )
        db.session.add(entry)
        audit_log.write(actor="operator:7", act=Act.LOGGED_IN)
        found = db.session.connection().execute(text("SELECT audit_id FROM audit_log ORDER BY 1"))
        assert [audit_id for (audit_id,) in found] == [-1, 0]
        db.session.rollback()


# -- whoever gets around it


def others(column: Any) -> list[str]:
    """What else could stand in the column, as SQL: with one byte changed, added or taken, and
    nothing at all."""
    name = f'"{column.name}"'
    if isinstance(column.type, BigInteger):
        made = [f"{name} + 100", f"-{name}"]
    elif isinstance(column.type, DateTime):
        made = [f"{name} + interval '1 microsecond'"]
    elif isinstance(column.type, LargeBinary):
        made = [f"set_byte({name}, 31, get_byte({name}, 31) # 1)", f"substr({name}, 2)", "''"]
    else:
        made = [f"overlay({name} placing '~' from 2 for 1)", f"{name} || ' '", f"left({name}, -1)"]
    return made + ["NULL"] * bool(column.nullable)


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_change_of_any_column_is_found(app: Flask, number: int) -> None:
    """Of the first act, of one in the middle, and of the last. The columns are the model's."""
    some_acts(app)
    execute(app, "ALTER TABLE audit_log DROP CONSTRAINT ck_audit_log_act")
    tamper(app, "CREATE TABLE was AS TABLE audit_log")
    assert len(COLUMNS) > 10
    for column in COLUMNS:
        for value in others(column):
            change = f'UPDATE audit_log SET "{column.name}" = {value} WHERE audit_id = :number'
            assert execute(app, change, number=number) == 1
            assert "in audit_log: " in audit(app, "verify", code=1), f"{column} to {value}"
            execute(app, "DELETE FROM audit_log")
            execute(app, "INSERT INTO audit_log TABLE was")
            assert FITS in audit(app, "verify")


def test_the_lines_say_which(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, whatever follows; in pieces as in one."""
    some_acts(app)
    tamper(app, "UPDATE audit_log SET reason = 'x' WHERE audit_id = 2")
    tamper(app, "DELETE FROM audit_log WHERE audit_id = 4")
    lines = audit(app, "verify", code=1).splitlines()
    assert lines == [
        "Error: act 2 in audit_log: its chain is not the hash of the one before and its own"
        " columns",
        "act 5 in audit_log: it follows act 3; one is missing, or has another audit_id",
    ]
    monkeypatch.setattr(audit_entries, "CHUNK", 1)
    assert audit(app, "verify", code=1).splitlines() == lines


@pytest.mark.parametrize("at", ["200000-01-01", "0044-03-15 BC", "infinity", "-infinity"])
def test_a_time_that_can_t_be_read_is_found_and_hides_nothing_behind_it(
    app: Flask, tmp_path: Path, at: str
) -> None:
    some_acts(app)
    kept(app, tmp_path / "kept")
    tamper(app, f"UPDATE audit_log SET at = '{at}' WHERE audit_id = 2")
    tamper(app, "UPDATE audit_log SET actor = 'web' WHERE audit_id = 4")
    said = audit(app, "verify", "--against", str(tmp_path / "kept"), code=1)
    assert "act 2 in audit_log: its chain" in said
    assert "act 4 in audit_log: its chain" in said
    audit(app, "digest")


@pytest.mark.parametrize("number", [1, 3])
def test_a_removed_row_is_found(app: Flask, number: int) -> None:
    some_acts(app)
    tamper(app, "DELETE FROM audit_log WHERE audit_id = :number", number=number)
    assert "one is missing" in audit(app, "verify", code=1)


def test_rows_that_close_up_behind_a_removed_one_are_found(app: Flask) -> None:
    some_acts(app)
    tamper(app, "DELETE FROM audit_log WHERE audit_id = 3")
    for number in (4, 5):
        execute(app, "UPDATE audit_log SET audit_id = :n - 1 WHERE audit_id = :n", n=number)
    assert "act 3 in audit_log: its chain is not" in audit(app, "verify", code=1)


def test_an_added_row_is_found(app: Flask) -> None:
    some_acts(app)
    for number in (0, 6):
        again = f"INSERT INTO audit_log SELECT {number}, at, actor, session_id, request_id,"
        tamper(app, f"{again} address, act, object, reason, body, chain FROM audit_log LIMIT 1")
        assert f"act {number} in audit_log" in audit(app, "verify", code=1)
        execute(app, "DELETE FROM audit_log WHERE audit_id = :number", number=number)
    assert FITS in audit(app, "verify")


def rewritten(app: Flask) -> None:
    """As whoever writes to the table and knows the code: a new past that fits."""
    tamper(app, "UPDATE audit_log SET actor = 'operator:8' WHERE audit_id = 2")
    head = None
    for found in acts(app):
        head = audit_log.link(head, found)
        change = "UPDATE audit_log SET chain = :chain WHERE audit_id = :audit_id"
        execute(app, change, chain=head, audit_id=found["audit_id"])


def cut(app: Flask) -> None:
    tamper(app, "DELETE FROM audit_log WHERE audit_id > 3")


def emptied(app: Flask) -> None:
    tamper(app, "DELETE FROM audit_log")


@pytest.mark.parametrize(
    ("deed", "line", "then", "today"),
    [(rewritten, 3, 5, 5), (cut, 3, 5, 3), (emptied, 2, 1, 0)],
    ids=["rewritten", "cut", "emptied"],
)
def test_what_fits_by_itself_is_shown_by_a_digest(
    app: Flask, tmp_path: Path, deed: Callable[[Flask], None], line: int, then: int, today: int
) -> None:
    file = tmp_path / "digests"
    empty = kept(app, file)
    some_acts(app, 1)
    first = kept(app, file)
    some_acts(app, 4)
    second = kept(app, file)
    assert " 0 payments 0 acts " in empty
    assert " 0 payments 1 acts " in first and " 0 payments 5 acts " in second
    assert FITS in audit(app, "verify", "--against", str(file))
    deed(app)
    assert FITS in audit(app, "verify"), "by itself it fits"
    kept(app, file)
    out = audit(app, "verify", "--against", str(file), code=1)
    assert len(out.splitlines()) == 1, "the line after it says no more, and the last fits"
    since, until = {2: (empty, first), 3: (first, second)}[line]
    assert f"line {line}: it does not fit any more. Of what was written after" in out
    assert f"after {since.split()[0]} and until {until.split()[0]} something" in out
    assert f"there were 0 payments {then} acts, and there are 0 payments {today} acts" in out


def test_digests_of_before_there_were_acts_still_fit(app: Flask, tmp_path: Path) -> None:
    """Their lines name no acts, and say of payments what they said."""
    file = tmp_path / "digests"
    payment = pay(app)
    [event] = rows(app, "SELECT chain FROM events ORDER BY seq DESC LIMIT 1")
    hashed = hashlib.sha256(f"{payment}:{bytes(event['chain']).hex()}\n".encode()).hexdigest()
    moment = f"{now(app).astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    file.write_text(f"{moment} 1 payments sha256:{hashed}\n")
    act(app)
    kept(app, file)
    assert FITS in audit(app, "verify", "--against", str(file))
    give_back(app, payment)
    assert FITS in audit(app, "verify", "--against", str(file))
    file.write_text(f"{moment} 2 payments sha256:{hashed}\n")
    out = audit(app, "verify", "--against", str(file), code=1)
    assert "there were 2 payments, and there are 1 payments" in out


def test_the_daily_digest_counts_acts(app: Flask) -> None:
    act(app)
    tamper(app, "UPDATE audit_log SET at = at - interval '2 days'")
    with app.app_context():
        assert digests.run_once() == {"digests": 1}
    written = row(app, "SELECT * FROM audit_digests")
    until = written["until"].astimezone(UTC)
    told = audit(app, "digest", "--until", f"{until:%Y-%m-%dT%H:%M:%SZ}")
    assert f" 0 payments 1 acts sha256:{written['sha256']}\n" in told
    assert (written["payments"], written["acts"]) == (0, 1)
    assert until > datetime.now(UTC) - timedelta(days=2)
