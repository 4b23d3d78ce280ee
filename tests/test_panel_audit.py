"""The audit log as a page: its filters, its verification, and the bar over each page while a chain
is broken and nobody has said why."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from flask import Flask

from payment_service.admin import audit as page_of_audit
from payment_service.domain.jobs import BadJob, JobKind, UnknownJob
from payment_service.domain.operators import By, NotAnAdmin, Role
from payment_service.services import audit, chain_alarm, job_items, jobs
from tests.books import execute, row, rows
from tests.desk import KEYS, MAKER, Desk
from tests.fixtures import MakeApp
from tests.test_admin_pages import no_script_but_ours, sign_of_a_page
from tests.test_panel_payments import HOSTILE, created, link

LIST = "/admin/audit"
BAR = "The hash chains do not fit"
LAST_ACT = "SELECT * FROM audit_log ORDER BY audit_id DESC LIMIT 1"


@pytest.fixture
def pages(make_app: MakeApp, fresh_database: str) -> Flask:
    return make_app(**KEYS, database_url=fresh_database, operator_mfa="optional")


@pytest.fixture
def desk(pages: Flask) -> Desk:
    return Desk(pages).join(Role.ADMIN)


@pytest.fixture(scope="module")
def lister(make_app: MakeApp, database_of_module: str) -> Desk:
    """Of tests that break no chain."""
    app = make_app(**KEYS, database_url=database_of_module, operator_mfa="optional")
    return Desk(app).join(Role.ADMIN)


def verified(app: Flask) -> int:
    """All chains are walked; the job's number."""
    with app.app_context():
        job_id = jobs.ask_verify(by=MAKER)
        job_items.run_once({JobKind.VERIFY: audit.verify_item})
    return job_id


def broken(app: Flask) -> int:
    payment_id = created(app)["payment_id"]
    execute(app, "UPDATE payments SET amount = amount + 1 WHERE payment_id = :id", id=payment_id)
    return verified(app)


# The list


def watched(desk: Desk, address: str) -> str:
    """The address that the page asks for newer acts."""
    found = re.search(r'data-newer="([^"]*)"', desk.get(address).text)
    assert found
    return unescape(found[1])


def test_the_list_is_told_of_newer_acts_that_fit(pages: Flask, desk: Desk) -> None:
    all_acts, others = watched(desk, LIST), watched(desk, f"{LIST}?act=operator_role_changed")
    assert desk.get(all_acts).status_code == 204
    verified(pages)
    (count,) = rows(pages, "SELECT count(*) AS n FROM audit_log WHERE object LIKE 'job:%'")
    assert count["n"] and desk.get(all_acts).text == f"{count['n']} newer: show"
    assert desk.get(others).status_code == 204
    assert "data-newer" not in desk.get(f"{LIST}?older=MTAwLjE").text
    assert "data-newer" not in desk.get(f"{LIST}?to=2020-01-01").text
    assert desk.get(f"{LIST}/newer?than=x").status_code == 422
    assert desk.get(f"{LIST}/newer?than=MTAwLjE&act=x").status_code == 422


def test_filters_stand_in_the_address(lister: Desk) -> None:
    with lister.app.app_context():
        job_id = jobs.ask_verify(by=By("cli:somebody"))
    for query, there in (
        ("", True),
        ("act=job_asked", True),
        ("act=exported", False),
        ("actor=cli:somebody", True),
        ("actor=cli:another", False),
        (f"object=job:{job_id}", True),
        (f"object=job:{job_id + 1}", False),
        ("from=2000-01-01&to=2000-01-02", False),
        ("from=2000-01-01&actor=cli:somebody", True),
    ):
        answer = lister.get(f"{LIST}?{query}")
        sign_of_a_page(answer)
        assert ('actor=cli:somebody">cli:somebody</a>' in answer.text) is there, query
        assert there or "No act fits." in answer.text


@pytest.mark.parametrize("query", ["act=no", "from=yesterday", "to=9999-12-31", "actor=a%00b"])
def test_what_is_not_understood_is_told(lister: Desk, query: str) -> None:
    answer = lister.get(f"{LIST}?{query}")
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text


def test_where_no_index_serves_it_says_how_far_back_it_looks(lister: Desk) -> None:
    assert "Looks at the last 30 days" in lister.get(f"{LIST}?actor=web").text
    assert "Looks at the last 365 days" in lister.get(f"{LIST}?actor=web&days=365").text
    for query in ("", "?to=2100-01-01", "?actor=web&from=2020-01-01"):
        assert "Looks at the last" not in lister.get(f"{LIST}{query}").text


def test_older_acts_and_back(lister: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_of_audit, "ROWS", 1)
    first = lister.get(LIST).text
    second = lister.get(link(first, "Older"))
    assert second.status_code == 200
    assert link(second.text, "Newer") == LIST
    assert lister.get(f"{LIST}?older=nonsense").status_code == 200


def test_what_is_written_down_is_text(desk: Desk) -> None:
    broken(desk.app)
    job_id = row(desk.app, "SELECT max(job_id) AS id FROM jobs")["id"]
    with desk.app.app_context():
        chain_alarm.explain(job_id=job_id, why=HOSTILE, by=MAKER)
    page = desk.get(LIST).text
    assert no_script_but_ours(page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_list_leads_to_its_file(lister: Desk) -> None:
    with lister.get(link(lister.get(f"{LIST}?act=invite_used").text, "Export as CSV")) as answer:
        assert answer.mimetype == "text/csv"
        assert b"invite_used" in answer.data


# The chains


def test_what_fits_has_no_bar(desk: Desk) -> None:
    created(desk.app)
    verified(desk.app)
    page = desk.get(LIST).text
    assert BAR not in page
    assert "all fits" in page


def test_a_broken_chain_is_a_bar_on_every_page_until_an_admin_says_why(desk: Desk) -> None:
    job_id = broken(desk.app)
    viewer = Desk(desk.app).join()
    for path in ("/admin/", "/admin/payments", "/admin/me", "/admin/jobs", LIST):
        assert BAR in viewer.get(path).text, path
    where = f"/admin/audit/explain/{job_id}"
    assert where not in viewer.get(LIST).text
    assert viewer.post(where, page=LIST, why="Why not").status_code == 403
    assert where in desk.get(LIST).text
    assert desk.post(where, page=LIST, why="  ").status_code == 409
    assert BAR in desk.get("/admin/").text
    assert desk.post(where, page=LIST, why="A restore test; see the log book.").status_code == 303
    for who in (desk, viewer):
        assert BAR not in who.get("/admin/").text
    act = row(desk.app, LAST_ACT)
    assert (act["act"], act["object"]) == ("note_added", f"job:{job_id}")
    assert act["reason"] == "A restore test; see the log book."
    assert desk.post(where, page=LIST, why="Once more").status_code == 409


def test_another_walk_that_finds_it_raises_the_bar_again(desk: Desk) -> None:
    job_id = broken(desk.app)
    with desk.app.app_context():
        chain_alarm.explain(job_id=job_id, why="Known", by=MAKER)
    verified(desk.app)
    assert BAR in desk.get("/admin/").text


def test_a_walk_over_everything_that_fits_ends_the_alarm(desk: Desk) -> None:
    broken(desk.app)
    assert BAR in desk.get("/admin/").text
    execute(desk.app, "UPDATE payments SET amount = amount - 1")
    verified(desk.app)
    assert BAR not in desk.get("/admin/").text


def test_one_payment_that_fits_ends_no_alarm(desk: Desk) -> None:
    broken(desk.app)
    payment_id = created(desk.app)["payment_id"]
    with desk.app.app_context():
        jobs.ask_verify(by=MAKER, payment_id=payment_id)
        job_items.run_once({JobKind.VERIFY: audit.verify_item})
    assert BAR in desk.get("/admin/").text


def test_what_is_said_of_one_payment_explains_no_other(desk: Desk) -> None:
    """The walk over everything found it, too, and may have found others."""
    whole = broken(desk.app)
    payment_id = row(desk.app, "SELECT max(payment_id) AS id FROM payments")["id"]
    with desk.app.app_context():
        one = jobs.ask_verify(by=MAKER, payment_id=payment_id)
        job_items.run_once({JobKind.VERIFY: audit.verify_item})
        chain_alarm.explain(job_id=one, why="Known", by=MAKER)
        found = chain_alarm.standing()
        assert found
        assert found.job_id == whole
        chain_alarm.explain(job_id=whole, why="Known", by=MAKER)
        assert chain_alarm.standing() is None


@pytest.mark.parametrize(
    ("by", "why", "refused"),
    [
        (By("operator:7", 7, Role.APPROVER, 70), "Known", NotAnAdmin),
        (MAKER, "", BadJob),
        (MAKER, "x" * 1001, BadJob),
        (MAKER, "Known", UnknownJob),
    ],
)
def test_who_explains_nothing(lister: Desk, by: By, why: str, refused: Any) -> None:
    with lister.app.app_context(), pytest.raises(refused):
        chain_alarm.explain(job_id=999999999, why=why, by=by)
