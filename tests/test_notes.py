"""Notes of operators about payments: added once, written down, and never changed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy.exc import IntegrityError

from payment_service.domain.errors import PaymentNotFound
from payment_service.domain.notes import LONGEST, BadNote
from payment_service.domain.operators import OutOfReach, Reach, Role
from payment_service.domain.pages import NotAllowed
from payment_service.services import notes
from payment_service.services.sessions import Current
from tests.books import a_pending_payment, at_once, execute, rows
from tests.fixtures import a_key
from tests.operators import a_session, an_operator
from tests.operators import app as app  # with operators of its own


@pytest.fixture
def payment(app: Flask) -> int:
    return int(a_pending_payment(app.test_client())["payment_id"])


@pytest.fixture
def now(app: Flask) -> Current:
    return a_session(an_operator(app))


def add(app: Flask, now: Current, payment: int, text: str, form_key: str | None = None) -> int:
    with app.app_context():
        return notes.add(now, payment_id=payment, text=text, form_key=form_key or a_key())


def texts(app: Flask, now: Current, payment: int) -> list[str]:
    with app.app_context():
        return [note.text for note in notes.listed(now, payment_id=payment)]


def test_a_note_is_kept_with_who_wrote_it(app: Flask, now: Current, payment: int) -> None:
    first = add(app, now, payment, "  The rider called.\r\nHe paid twice.  ")
    add(app, now, payment, "<b>{{7*7}}</b>")
    assert texts(app, now, payment) == ["The rider called.\nHe paid twice.", "<b>{{7*7}}</b>"]
    with app.app_context():
        found = notes.listed(now, payment_id=payment)[0]
    assert (found.note_id, found.operator_id) == (first, now.operator_id)


def test_a_note_is_written_down_without_what_it_says(
    app: Flask, now: Current, payment: int
) -> None:
    note = add(app, now, payment, "The rider called.")
    query = "SELECT * FROM audit_log WHERE object = :it"
    [act] = rows(app, query, it=f"payment:{payment}")
    assert (act["act"], act["actor"]) == ("note_added", now.by.name)
    assert act["session_id"] == now.session_id
    assert json.loads(act["body"]) == {"note_id": note}


def test_a_form_that_comes_again_writes_once(app: Flask, now: Current, payment: int) -> None:
    key = a_key()
    numbers = at_once([lambda: add(app, now, payment, "Once.", key)] * 6)
    assert len(set(numbers)) == 1
    assert texts(app, now, payment) == ["Once."]
    assert (
        len(rows(app, "SELECT 1 FROM audit_log WHERE object = :it", it=f"payment:{payment}")) == 1
    )


def test_a_form_that_the_back_button_brings_again_writes_what_is_new(
    app: Flask, now: Current, payment: int
) -> None:
    key = a_key()
    first = add(app, now, payment, "The rider called.", key)
    assert add(app, now, payment, "He called again.", key) != first
    assert add(app, now, payment, " The rider called. ", key) == first
    assert texts(app, now, payment) == ["The rider called.", "He called again."]


@pytest.mark.parametrize(
    "text",
    ["", " \n ", "x" * (LONGEST + 1), "a\0b", "a\x1bb", "\ud800", "card 4111 1111 1111 1111"],
)
def test_what_can_not_be_a_note_is_refused(
    app: Flask, now: Current, payment: int, text: str
) -> None:
    with pytest.raises(BadNote):
        add(app, now, payment, text)
    assert texts(app, now, payment) == []


def test_the_longest_note_fits(app: Flask, now: Current, payment: int) -> None:
    add(app, now, payment, "ü" * LONGEST)
    assert texts(app, now, payment) == ["ü" * LONGEST]


def test_a_note_is_of_a_payment_that_is_there(app: Flask, now: Current) -> None:
    with pytest.raises(PaymentNotFound):
        add(app, now, 2**62, "Nobody's.")


def test_viewers_read_and_do_not_write(app: Flask, now: Current, payment: int) -> None:
    add(app, now, payment, "Seen.")
    viewer = a_session(an_operator(app, Role.VIEWER))
    with pytest.raises(NotAllowed) as refused:
        add(app, viewer, payment, "Mine.")
    assert refused.value.wanted == Role.OPERATOR
    assert texts(app, viewer, payment) == ["Seen."]


def test_half_a_log_in_does_neither(app: Flask, now: Current, payment: int) -> None:
    half = replace(now, reach=Reach.CODE)
    with pytest.raises(OutOfReach):
        add(app, half, payment, "Too early.")
    with pytest.raises(OutOfReach):
        texts(app, half, payment)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE payment_notes SET text = 'x'", "DELETE FROM payment_notes", "TRUNCATE payment_notes"],
)
def test_the_database_changes_no_note(
    app: Flask, now: Current, payment: int, statement: str
) -> None:
    add(app, now, payment, "For ever.")
    with pytest.raises(IntegrityError, match="append-only"):
        execute(app, statement)
    assert texts(app, now, payment) == ["For ever."]


def test_the_database_takes_no_longer_note(app: Flask, now: Current, payment: int) -> None:
    adding = (
        "INSERT INTO payment_notes (payment_id, operator_id, form_key, text, at)"
        " VALUES (:payment, :operator, :key, :text, now())"
    )
    values = {"payment": payment, "operator": now.operator_id, "key": a_key()}
    with pytest.raises(IntegrityError):
        execute(app, adding, text="x" * (LONGEST + 1), **values)
