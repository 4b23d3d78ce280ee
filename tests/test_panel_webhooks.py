"""The pages of webhooks: the list, one of them masked, its replay, and what was refused."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from flask import Flask

from payment_service.domain.operators import Role
from tests.books import execute, rows
from tests.desk import KEYS, Desk
from tests.fixtures import MakeApp
from tests.hooked import an_app, an_event, pending, send, signed_body, tell
from tests.sandbox_server import Sandbox
from tests.test_admin_pages import no_script_but_ours, sign_of_a_page

PAGE = "/admin/webhooks"


@pytest.fixture(scope="module")
def house(make_app: MakeApp, sandbox: Sandbox, database_of_module: str) -> Flask:
    return an_app(
        make_app,
        sandbox,
        database_url=database_of_module,
        operator_mfa="optional",
        secret_key=KEYS["secret_key"],
    )


@pytest.fixture
def operator(house: Flask) -> Desk:
    return Desk(house).join(Role.OPERATOR)


def told(app: Flask, **changes: Any) -> int:
    """A webhook about a payment of which nothing is known; its number."""
    event = an_event("PAY-20260101-AAAAAAAAAAAA-1", **changes)
    assert tell(app.test_client(), event).status_code == 202
    (found,) = rows(app, "SELECT max(webhook_id) AS id FROM webhooks")
    return int(found["id"])


def listed(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'<a href="/admin/webhooks/(\d+)">', page)]


def shown(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in found}


def replays(app: Flask, webhook: int) -> int:
    where = "act = 'webhook_replayed' AND object = :object"
    return len(rows(app, f"SELECT 1 FROM audit_log WHERE {where}", object=f"webhook:{webhook}"))


def test_the_list_is_told_of_newer_ones_that_fit(house: Flask, operator: Desk) -> None:
    told(house)
    for query, says in (("?provider=signed", "2 newer: show"), ("?status=APPLIED", None)):
        found = re.search(r'data-newer="([^"]*)"', operator.get(PAGE + query).text)
        assert found
        watched = unescape(found[1])
        assert operator.get(watched).status_code == 204
        told(house), told(house)
        answer = operator.get(watched)
        assert answer.text == says if says else answer.status_code == 204
    assert "data-newer" not in operator.get(f"{PAGE}?older=MTAwLjE").text
    assert operator.get(f"{PAGE}/newer?than=x").status_code == 422
    assert operator.get(f"{PAGE}/newer?than=MTAwLjE&status=x").status_code == 422


def test_by_provider_status_and_payment(house: Flask, operator: Desk) -> None:
    payment = pending(house.test_client(), provider="signed")
    assert tell(house.test_client(), an_event(f"{payment['reference']}-1")).status_code == 202
    number = payment["payment_id"]
    other = told(house)
    (mine,) = listed(operator.get(f"{PAGE}?payment_id={number}").text)
    page = operator.get(f"{PAGE}?status=APPLIED&provider=signed")
    sign_of_a_page(page)
    assert mine in listed(page.text)
    assert other not in listed(page.text)
    assert other in listed(operator.get(f"{PAGE}?status=orphaned").text)
    assert "No webhook fits." in operator.get(f"{PAGE}?provider=nobody").text
    assert "Every webhook was applied." in operator.get(f"{PAGE}?status=FAILED").text
    for query in ("status=SOMETHING", "payment_id=x"):
        assert operator.get(f"{PAGE}?{query}").status_code == 422
    assert operator.get(f"{PAGE}?older=nonsense").status_code == 200


def test_older_ones_are_a_link_away(
    house: Flask, operator: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payment_service.admin.webhooks.ROWS", 2)
    made = [told(house) for _ in range(5)]
    page, seen = operator.get(PAGE).text, []
    for _ in range(2):
        seen += listed(page)
        found = re.search(r'<a href="([^"]*)" rel="next">Older', page)
        assert found
        page = operator.get(unescape(found.group(1))).text
    assert seen + listed(page)[:1] == made[::-1]
    assert f'<a href="{PAGE}" rel="prev">Newer</a>' in page


def test_its_body_is_masked_and_all_of_it_is_text(house: Flask, operator: Desk) -> None:
    secret = "<script>alert(1)</script> 4111111111111111"
    webhook = told(house, why=secret, id="</pre><img src=x>")
    page = operator.get(f"{PAGE}/{webhook}")
    sign_of_a_page(page)
    assert no_script_but_ours(page.text)
    assert "4111111111111111" not in page.text
    assert "[masked]" in page.text
    assert "<img" not in page.text
    assert operator.get(f"{PAGE}/999999999").status_code == 404


def test_replayed_once_though_the_form_comes_twice(house: Flask, operator: Desk) -> None:
    webhook = told(house)
    form = shown(operator.get(f"{PAGE}/{webhook}").text.split("<h2>Replay</h2>")[1])
    path = f"{PAGE}/{webhook}/replay"
    assert operator.send(path, **form).location == f"{PAGE}/{webhook}"
    assert "It was taken in once more." in operator.get(f"{PAGE}/{webhook}").text
    assert operator.send(path, **form).status_code == 303
    assert "it is not as the page showed it" in operator.get(f"{PAGE}/{webhook}").text
    assert replays(house, webhook) == 1


def test_only_operators_replay_and_only_by_forms_of_ours(house: Flask, operator: Desk) -> None:
    webhook, viewer = told(house), Desk(house).join()
    page = viewer.get(f"{PAGE}/{webhook}").text
    assert "This is for operators." in page
    assert f'action="{PAGE}' not in page
    form = shown(operator.get(f"{PAGE}/{webhook}").text.split("<h2>Replay</h2>")[1])
    path, state = f"{PAGE}/{webhook}/replay", form["shown"]
    assert viewer.post(path, page="/admin/me", shown=state).status_code == 403
    assert operator.send(path, shown=state).status_code == 400
    assert operator.send(path, shown=state, csrf_token="forged").status_code == 400
    assert operator.post(f"{PAGE}/999999999/replay", page="/admin/me").status_code == 404
    assert replays(house, webhook) == 0


def test_one_that_is_ignored_says_why_it_is_not_replayed(house: Flask, operator: Desk) -> None:
    webhook = told(house, type="news")
    page = operator.get(f"{PAGE}/{webhook}").text
    assert "It is of a type that nothing is done with." in page
    assert f'action="{PAGE}' not in page


def test_what_is_parked_is_told(house: Flask, operator: Desk) -> None:
    webhook = told(house)
    execute(
        house,
        "UPDATE webhooks SET status = 'FAILED', due_at = NULL WHERE webhook_id = :id",
        id=webhook,
    )
    page = operator.get(f"{PAGE}?status=FAILED").text
    assert listed(page) == [webhook]
    assert "1 parked" in page
    assert "Parked" in operator.get(f"{PAGE}/{webhook}").text
    execute(house, "DELETE FROM webhooks WHERE webhook_id = :id", id=webhook)


def test_what_was_refused(house: Flask, operator: Desk) -> None:
    assert "No webhook was refused." in operator.get(f"{PAGE}/refused").text
    body = signed_body(an_event("PAY-1"))
    assert send(house.test_client(), body, sign="wrong").status_code == 400
    page = operator.get(f"{PAGE}/refused")
    sign_of_a_page(page)
    assert "bad signature" in page.text
    assert str(len(body)) in page.text
