"""A provider's token of a way to pay: encrypted in its row, opened for the charge alone."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.engine import make_url

from payment_service import embedded
from payment_service.domain.callers import Caller
from payment_service.domain.customers import ChangeCustomer
from payment_service.extensions import db
from payment_service.services import audit, clear_tokens, customers, keys
from tests.books import arrived, at_provider, execute, payment_row, post, row
from tests.fixtures import IN_PRODUCTION, MakeApp, a_key, a_number, an_order
from tests.hooked import register
from tests.patience import PATIENCE
from tests.sandbox_calls import arm, eventually
from tests.sandbox_server import Sandbox

CHARGE = "/v1/payments/charge"
BY = Caller("cli:tests")
SECOND_KEY = "k2:b5pBd0mR8sYw3vQe7uXz1kLj9hGf2nTc4aWq6iOlPrA="
IN_CLEAR = "UPDATE payments SET token = NULL, payment_token = :plain WHERE payment_id = :id"


def charged(app: Flask, token: str) -> dict[str, Any]:
    answer = post(app.test_client(), CHARGE, **an_order(payment_token=token))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json
    return found


def created(app: Flask, token: str) -> dict[str, Any]:
    answer = app.test_client().post("/v1/payments", json=an_order(payment_token=token))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json
    return found


def token_at_provider(sandbox: Sandbox, payment: dict[str, Any]) -> str:
    (charge,) = at_provider(sandbox, "charges", payment["reference"])
    return str(charge["payment_token"])


def test_it_is_kept_for_nobody_to_read(app: Flask, sandbox: Sandbox) -> None:
    token = f"canary-{a_key()}"
    for payment in (charged(app, token), created(app, token)):
        kept = payment_row(app, payment["payment_id"])
        assert kept["payment_token"] is None
        assert bytes(kept["token"]).startswith(b"k1:") and b"canary" not in bytes(kept["token"])
    assert token_at_provider(sandbox, charged(app, token)) == token


def test_a_payment_that_was_created_with_one_is_charged_with_it(
    app: Flask, sandbox: Sandbox
) -> None:
    token = f"canary-{a_key()}"
    payment = created(app, token)
    answer = post(app.test_client(), f"/v1/payments/{payment['payment_id']}/charge")
    assert answer.status_code == 201, answer.text
    assert token_at_provider(sandbox, payment) == token
    other = created(app, token)
    anew = f"canary-{a_key()}"
    answer = post(
        app.test_client(), f"/v1/payments/{other['payment_id']}/charge", payment_token=anew
    )
    assert answer.status_code == 201, answer.text
    assert token_at_provider(sandbox, other) == anew


FORGED = {
    "of another row": "UPDATE payments SET token = (SELECT token FROM payments WHERE payment_id ="
    " :other) WHERE payment_id = :id",
    "one bit": "UPDATE payments SET token = set_byte(token, 20, get_byte(token, 20) # 1)"
    " WHERE payment_id = :id",
    "two": "UPDATE payments SET payment_token = 'tok_ok' WHERE payment_id = :id",
}


@pytest.mark.parametrize("statement", FORGED.values(), ids=FORGED)
def test_what_was_moved_or_changed_charges_nobody(
    app: Flask, sandbox: Sandbox, statement: str
) -> None:
    mine, other = created(app, "tok_ok"), created(app, f"canary-{a_key()}")
    numbers = {"id": mine["payment_id"], "other": other["payment_id"]}
    known = {name: value for name, value in numbers.items() if f":{name}" in statement}
    execute(app, statement, **known)
    answer = post(app.test_client(), f"/v1/payments/{mine['payment_id']}/charge")
    assert answer.status_code == 422, answer.text
    assert "send it anew" in answer.text
    assert arrived(sandbox, mine["reference"], "charge") == 0
    # Sent anew, it is paid.
    again = post(
        app.test_client(), f"/v1/payments/{mine['payment_id']}/charge", payment_token="tok_ok"
    )
    assert again.status_code == 201, again.text


def test_audit_names_it_and_a_refund_goes_on(make_app: MakeApp, fresh_database: str) -> None:
    app = make_app(database_url=fresh_database)
    payment = charged(app, "tok_ok")
    execute(app, FORGED["one bit"], id=payment["payment_id"])
    with app.app_context():
        (broken,) = audit.verify().broken
    assert broken.column == "payment_token"
    refund = post(app.test_client(), f"/v1/payments/{payment['payment_id']}/refund")
    assert refund.status_code == 200, refund.text
    with app.app_context():
        (broken,) = audit.verify().broken  # the same, and nothing more
    assert broken.column == "payment_token"


def test_who_can_not_read_it_breaks_no_chain(make_app: MakeApp, fresh_database: str) -> None:
    """While a key is changed carelessly: sealed by who has the new one, moved on by who has not."""
    first = IN_PRODUCTION["encryption_keys"]
    second = SECOND_KEY
    both = make_app(database_url=fresh_database, encryption_keys=f"{second},{first}")
    only_first = make_app(database_url=fresh_database, encryption_keys=first)
    payment = charged(both, f"canary-{a_key()}")
    path = f"/v1/payments/{payment['payment_id']}/refund"
    assert post(only_first.test_client(), path, amount="10.00").status_code == 200
    assert post(both.test_client(), path, amount="10.00").status_code == 200
    with both.app_context():
        assert audit.verify().broken == ()
        clear_tokens.seal(caller=BY, progress=False)
        keys.rotate(caller=BY, progress=False)
        assert audit.verify().broken == ()


def test_a_new_key_is_put_on_in_the_order_in_which_others_lock(
    make_app: MakeApp, fresh_database: str
) -> None:
    """Who erases a customer holds one payment and goes on to the next one: rotating that waits for
    the first must not hold the second by then. Their references stand the other way round."""
    app = make_app(database_url=fresh_database)
    first, second = (created(app, "tok_ok")["payment_id"] for _ in range(2))
    references = [payment_row(app, number)["reference"] for number in (first, second)]
    while references != sorted(references, reverse=True):
        first, second = second, created(app, "tok_ok")["payment_id"]
        references = [payment_row(app, number)["reference"] for number in (first, second)]
    new_key = f"{SECOND_KEY},{IN_PRODUCTION['encryption_keys']}"
    rotating = make_app(database_url=fresh_database, encryption_keys=new_key)
    done: list[keys.Rotated] = []

    def rotate() -> None:
        with rotating.app_context():
            done.append(keys.rotate(caller=BY, progress=False))

    waits = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    lock = text("SELECT 1 FROM payments WHERE payment_id = :id FOR UPDATE NOWAIT")
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(lock, {"id": first})
        thread = threading.Thread(target=rotate)
        thread.start()
        eventually(lambda: row(app, waits)["n"] == 1)
        connection.execute(lock, {"id": second})
    thread.join(PATIENCE)
    assert done and done[0].unreadable == 0


def test_the_next_provider_is_asked_with_it_too(
    make_app: MakeApp, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the first one surely was not reached."""
    with monkeypatch.context() as patched:
        register(sandbox, patched)
        app = make_app(provider_routes="CARD=signed>sandbox")
    token = f"canary-{a_key()}"
    arm(sandbox, "charge", "too_many_requests", match={"token": token}, times=1)
    answer = post(app.test_client(), CHARGE, **an_order(payment_token=token))
    assert (answer.status_code, answer.json["provider"]) == (201, "sandbox"), answer.text
    assert token_at_provider(sandbox, answer.json) == token


def test_those_of_before_are_encrypted_and_nothing_else_is_changed(
    make_app: MakeApp, fresh_database: str, sandbox: Sandbox
) -> None:
    """A payment as the code before wrote it: charged as ever, and encrypted by a command that may
    be run again."""
    app = make_app(database_url=fresh_database)
    paid, waits = charged(app, "tok_ok"), created(app, f"canary-{a_key()}")
    plain = {"paid": "tok_ok", "waits": f"canary-{a_key()}"}
    execute(app, IN_CLEAR, id=paid["payment_id"], plain=plain["paid"])
    other = created(app, "tok_ok")
    execute(app, IN_CLEAR, id=other["payment_id"], plain=plain["waits"])
    runner = app.test_cli_runner()
    assert (
        "payments.payment_token: 2 rows in clear" in runner.invoke(args=["keys", "status"]).output
    )
    with app.app_context():
        assert audit.verify(payment_id=paid["payment_id"]).broken == ()
        assert clear_tokens.seal(caller=BY, progress=False) == 2
        assert clear_tokens.seal(caller=BY, progress=False) == 0
        assert audit.verify(payment_id=paid["payment_id"]).broken == ()
    act = row(app, "SELECT * FROM audit_log WHERE object = 'payments.payment_token'")
    assert (act["act"], act["actor"]) == ("keys_rotated", BY.name)
    assert "in clear" not in runner.invoke(args=["keys", "status"]).output
    for payment in (other, waits):
        answer = post(app.test_client(), f"/v1/payments/{payment['payment_id']}/charge")
        assert answer.status_code == 201, answer.text
    assert token_at_provider(sandbox, other) == plain["waits"]


def test_one_of_before_is_charged_as_it_stands(app: Flask, sandbox: Sandbox) -> None:
    payment, plain = created(app, "tok_ok"), f"canary-{a_key()}"
    execute(app, IN_CLEAR, id=payment["payment_id"], plain=plain)
    answer = post(app.test_client(), f"/v1/payments/{payment['payment_id']}/charge")
    assert answer.status_code == 201, answer.text
    assert token_at_provider(sandbox, payment) == plain


def test_without_keys_it_says_which_setting_is_missing(make_app: MakeApp) -> None:
    app = make_app(encryption_keys=None)
    client = app.test_client()
    order = an_order(payment_token="tok_ok")
    for answer in (post(client, CHARGE, **order), client.post("/v1/payments", json=order)):
        assert (answer.status_code, answer.json["code"]) == (422, "invalid_request")
        assert "ENCRYPTION_KEYS" in answer.text
    assert post(client, CHARGE, **an_order()).status_code == 201


def test_a_backup_says_nothing_of_it(
    make_app: MakeApp, fresh_database: str, tmp_path: Path
) -> None:
    """Nor of who paid, and of customers."""
    app = make_app(database_url=fresh_database, lookup_hmac_key="a lookup key of 32 bytes or more")
    token, who = f"canary-{a_key()}", {"name": "Canary One", "email": "canary@mail.example"}
    created(app, token)
    order = an_order(payment_token=token, payer=who)
    assert post(app.test_client(), CHARGE, **order).status_code == 201
    with app.app_context():
        customers.change(user_id=a_number(), command=ChangeCustomer(who))
    address = make_url(fresh_database).set(drivername="postgresql").render_as_string(False)
    file = tmp_path / "dump.sql"
    command = [embedded.bin_dir() / "pg_dump", "--inserts", f"--file={file}", address]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    dump = file.read_text().lower()
    for table in ("payments", "payers", "customers"):
        assert f"insert into public.{table}" in dump
    assert "canary" not in dump and b"canary".hex() not in dump
