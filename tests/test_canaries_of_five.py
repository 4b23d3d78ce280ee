"""Nothing of a payer, of who paid, or of what a payer is let in with is seen again at any of the
five providers: in no log, event, list, metric, refusal or process title, nor in a dump of the
database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
from psycopg2 import sql
from sqlalchemy.engine import make_url

from payment_service.sandbox.dialects.swish.books import WHO_SCANS
from tests import five
from tests.campaign.dialects import DIALECTS
from tests.fixtures import a_key, an_order
from tests.running_service import Service, running_service
from tests.sandbox_calls import eventually
from tests.sandbox_server import Sandbox

pytestmark = pytest.mark.slow  # processes of its own

WORD = "canary7Rt2"
PAYER = {"name": f"{WORD} Name", "email": f"{WORD}@mail.example", "phone": "+46701740605"}
WHO_PAID = ("A payer of the sandbox", "IQ00SAND", WHO_SCANS)
"""What the bank and the app say of that."""

ORDERS = {
    **{name: way.order for name, way in five.WAYS.items()},
    "stripe, in the payer's app": {"currency": "INR", "method": "CARD"},
    "swish, on a phone": five.WAYS["swish"].order,
}


def charged(service: Service, name: str) -> dict[str, Any]:
    """The answer of a charge that names its payer; without a number where one is called by it."""
    payer = {key: PAYER[key] for key in PAYER if name != "swish" or key != "phone"}
    body = an_order(amount=five.AMOUNT, payer=payer, **ORDERS[name])
    answer = service.post("/v1/payments/charge", body, headers={"Idempotency-Key": a_key()})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def let_in_with(action: dict[str, Any]) -> list[str]:
    """What of it nobody else may have."""
    link = action.get("url") or ""
    mac = [link.rsplit("/", 1)[1]] if link.startswith(five.NOWHERE) else []
    return mac + [action[name] for name in ("token", "client_secret") if action.get(name)]


def paid(service: Service, sandbox: Sandbox, payment: dict[str, Any]) -> None:
    """On the provider's page; and what comes of it is told, once as it is and once as a lie."""
    name, action = payment["provider"], payment["next_action"]
    dialect = DIALECTS[name]
    dialect.settings(sandbox)  # by which it knows where the payers' phones are
    url = action["url"].replace(five.NOWHERE, service.url)
    page = dialect.page({**action, "url": url})
    assert page is not None
    assert dialect.says(page, True)
    news = five.WAYS[name].news
    eventually(lambda: news in dict(five.news(sandbox, payment)))
    for _, sent in five.news(sandbox, payment):
        told = {"params": sent.query, "data": sent.body}
        path = f"/v1/webhooks/{name}"
        assert service.request("POST", path, headers=dict(sent.headers), **told).ok
    lie = service.request("POST", f"/v1/webhooks/{name}", json=PAYER)
    assert lie.status_code == 400, lie.text
    payment_id = payment["payment_id"]
    eventually(lambda: service.get(f"/v1/payments/{payment_id}").json()["status"] == "SUCCESS")
    given = service.post(
        f"/v1/payments/{payment_id}/refund", {}, headers={"Idempotency-Key": a_key()}
    )
    assert given.ok, given.text


def shown(service: Service) -> dict[str, str]:
    """Whatever may be read or asked for but a single payment, which is for its caller."""
    told = {path: service.get(path).text for path in ("/metrics", "/v1/payments", "/v1/refunds")}
    for payment in service.get("/v1/payments").json()["payments"]:
        path = f"/v1/payments/{payment['payment_id']}/events"
        told[path] = service.get(path).text
    for webhook in service.get("/v1/webhooks").json()["webhooks"]:
        path = f"/v1/webhooks/{webhook['webhook_id']}"
        told[path] = service.get(path).text
    running = [psutil.Process(one.pid) for one in service.processes] + service.web_workers()
    titles = "\n".join(" ".join(one.cmdline()) for one in running)
    return told | {"log": service.log.read_text(), "titles": titles}


def dumped(database_url: str) -> dict[str, str]:
    """Each table as text, bytes as they are, not as hexadecimal."""
    at = make_url(database_url).set(drivername="postgresql")
    found = {}
    with psycopg2.connect(at.render_as_string(hide_password=False)) as connection:
        cursor = connection.cursor()
        cursor.execute("SET bytea_output = 'escape'")
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("SELECT it::text FROM {} AS it").format(sql.Identifier(table)))
            found[table] = "\n".join(row for (row,) in cursor)
    return found


def test_nothing_of_a_payer_is_seen_again_at_any_of_the_five(
    fresh_database: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    given = {name.upper(): str(value) for name, value in five.settings_of(sandbox).items()}
    env = given | {"SECRET_KEY": WORD * 4, "LOG_LEVEL": "DEBUG"}
    secrets = {WORD, WORD.lower(), PAYER["phone"].lstrip("+"), *WHO_PAID}
    secrets |= {given[name] for name in given if name.endswith(("_SECRET", "_API_KEY"))}
    with (
        five.told_nowhere(sandbox),
        running_service(tmp_path, database_url=fresh_database, **env) as service,
    ):
        service.start_worker()
        for name in ORDERS:
            payment = charged(service, name)
            secrets |= set(let_in_with(payment["next_action"]))
            if name in five.WAYS:
                paid(service, sandbox, payment)
        seen = shown(service) | dumped(fresh_database)
    assert "payment.succeeded" in seen["events"]
    assert seen["webhook_refusals"]
    assert seen["webhooks"]
    assert len(secrets) > 15
    leaks = [(where, one) for where, text in seen.items() for one in secrets if one in text]
    assert leaks == []
