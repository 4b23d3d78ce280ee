"""Jobs and what many rows at once are for, asked as a browser without scripts asks."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask

from payment_service.domain.jobs import JobKind
from payment_service.domain.operators import By, Role
from payment_service.services import bulk, job_items, jobs
from tests.books import execute, row
from tests.desk import KEYS, Desk
from tests.fixtures import MakeApp, a_key
from tests.patience import CLOCKLESS
from tests.sandbox_calls import arm
from tests.sandbox_server import Sandbox
from tests.test_admin_pages import no_script_but_ours, sign_of_a_page
from tests.test_panel_payments import HOSTILE, created, link, paid

BULK, ASK = "/admin/bulk", "/admin/bulk/ask"


@pytest.fixture(scope="module")
def pages(make_app: MakeApp, database_of_module: str) -> Flask:
    return make_app(**KEYS, **CLOCKLESS, database_url=database_of_module, operator_mfa="optional")


@pytest.fixture(scope="module")
def desk(pages: Flask) -> Desk:
    return Desk(pages).join(Role.OPERATOR)


def waiting(app: Flask) -> int:
    """The id of a payment that was asked about, and whose answer got lost."""
    payment_id: int = paid(app)["payment_id"]
    execute(
        app,
        "UPDATE transactions SET status = 'PROCESSING' WHERE payment_id = :id",
        id=payment_id,
    )
    return payment_id


def hidden(page: str, name: str) -> list[str]:
    return re.findall(rf'<input type="hidden" name="{name}" value="([^"]*)"', page)


def asked_for(desk: Desk, *keys: Any, kind: str = "RESOLVE") -> str:
    """The page of a new job."""
    query = "&".join(f"key={key}" for key in keys)
    answer = desk.post(ASK, page=f"{BULK}?kind={kind}&{query}", kind=kind, key=[*map(str, keys)])
    assert answer.status_code == 303, answer.text
    return str(answer.location)


# Before it is done


def test_the_preview_says_what_is_left_out_and_why_and_does_nothing(desk: Desk) -> None:
    does, done = waiting(desk.app), paid(desk.app)["payment_id"]
    before = row(desk.app, "SELECT count(*) FROM jobs")
    answer = desk.get(f"{BULK}?kind=RESOLVE&key={does}&key={done}&key=999999999999")
    sign_of_a_page(answer)
    assert hidden(answer.text, "key") == [str(does)]
    assert "Left out: 2" in answer.text
    assert "It is SUCCESS: no provider is asked about it." in answer.text
    assert "There is no such payment." in answer.text
    assert row(desk.app, "SELECT count(*) FROM jobs") == before


def test_ticks_and_all_that_fit_come_from_the_list(desk: Desk) -> None:
    one = created(desk.app, currency="SEK")["payment_id"]
    page = desk.get("/admin/payments?status=PENDING&currency=SEK").text
    assert f'name="key" value="{one}" form="many"' in page
    shown = desk.get(link(page, "Look up all that fit"))
    assert shown.status_code == 200
    assert "It is PENDING: no provider is asked about it." in shown.text
    assert "Look up all that fit" not in desk.get("/admin/payments").text
    narrowed = desk.get("/admin/payments?status=PENDING&currency=SEK&amount_from=1000").text
    assert "Look up all that fit" not in narrowed


def test_the_list_leads_to_its_file(desk: Desk) -> None:
    created(desk.app)
    page = desk.get("/admin/payments?status=PENDING&created_from=2020-01-01").text
    with desk.get(link(page, "Export as CSV")) as answer:
        assert answer.mimetype == "text/csv"
        assert b"PENDING" in answer.data
    assert "Export as CSV" not in desk.get("/admin/payments?currency=INR&amount_from=1").text


@pytest.mark.parametrize("status", ["ALL", "PENDING"])
def test_refunds_lead_to_their_file(desk: Desk, status: str) -> None:
    page = desk.get(f"/admin/refunds?status={status}").text
    with desk.get(link(page, "Export all of these as CSV")) as answer:
        assert answer.mimetype == "text/csv"
    assert "as CSV" not in Desk(desk.app).join().get(f"/admin/refunds?status={status}").text


def test_who_may_only_look_has_no_ticks(desk: Desk) -> None:
    created(desk.app)
    viewer = Desk(desk.app).join()
    assert 'name="key"' not in viewer.get("/admin/payments").text
    assert 'name="key"' in desk.get("/admin/payments").text
    assert viewer.get(f"{BULK}?kind=RESOLVE&all=1").status_code == 403


@pytest.mark.parametrize(
    "query",
    [
        "",
        "kind=REFUND&key=1",
        "kind=VERIFY&key=1",
        "kind=RESOLVE",
        "kind=RESOLVE&key=x",
        "kind=RESOLVE&key=9999999999999999999",
        "kind=RESOLVE&all=1&amount_from=x",
        "kind=RESOLVE&all=1&status=NO",
        "kind=RESEND&key=order/1",
        "kind=RESEND&all=1&payment_id=x",
        "kind=RESOLVE&" + "&".join(f"key={key}" for key in range(1, 502)),
    ],
)
def test_what_can_t_be_done_is_told(desk: Desk, query: str) -> None:
    answer = desk.get(f"{BULK}?{query}")
    assert answer.status_code == 422
    sign_of_a_page(answer)


def test_to_skip_asks_why(desk: Desk) -> None:
    assert desk.get(f"{BULK}?kind=SKIP&all=1&sink=order").status_code == 200
    answer = desk.post(ASK, page="/admin/jobs", kind="SKIP", key="order/1/2")
    assert answer.status_code == 422
    assert "Say why they are skipped" in answer.text


# The job


def test_a_form_that_is_sent_twice_makes_one_job(desk: Desk) -> None:
    key = waiting(desk.app)
    page = desk.get(f"{BULK}?kind=RESOLVE&key={key}").text
    sent = {name: hidden(page, name)[0] for name in ("csrf_token", "asked_key", "kind", "key")}
    first, second = desk.send(ASK, **sent), desk.send(ASK, **sent)
    assert first.status_code == second.status_code == 303
    assert first.location == second.location


def test_a_job_is_stopped_gone_on_with_and_done(desk: Desk, sandbox: Sandbox) -> None:
    one, other = lost(desk.app, sandbox), lost(desk.app, sandbox)
    where = asked_for(desk, one, other)
    page = desk.get(where)
    sign_of_a_page(page)
    assert "0 of 2" in page.text
    assert desk.post(f"{where}/stop", page=where).location == where
    assert "Stopped" in desk.get(where).text
    desk.post(f"{where}/stop", page=where)
    assert "It was stopped already." in desk.get(where).text
    worked(desk.app)
    assert "0 of 2" in desk.get(where).text
    assert desk.post(f"{where}/go-on", page=where).location == where
    worked(desk.app)
    done = desk.get(where).text
    assert "2 of 2" in done
    assert "The payment is SUCCESS now." in done
    assert "/stop" not in done
    assert desk.post(f"{where}/stop", page="/admin/jobs").status_code == 409


def lost(app: Flask, sandbox: Sandbox) -> int:
    """The id of a payment that the provider took, and whose answer got lost."""
    token = f"card-{a_key()}"
    arm(sandbox, "charge", "do_and_lose_answer", match={"token": token})
    payment_id: int = paid(app, payment_token=token)["payment_id"]
    return payment_id


def worked(app: Flask) -> None:
    """The worker has done what is to be done."""
    with app.app_context():
        while job_items.run_once(bulk.DOES)["more"]:
            pass


def test_what_failed_says_why_as_text(desk: Desk) -> None:
    where = asked_for(desk, waiting(desk.app))
    execute(
        desk.app,
        "UPDATE job_items SET state = 'FAILED', error = :error WHERE job_id = :id",
        error=HOSTILE,
        id=int(where.rpartition("/")[2]),
    )
    page = desk.get(where).text
    assert no_script_but_ours(page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_viewer_sees_jobs_and_does_nothing_to_them(desk: Desk) -> None:
    where, viewer = asked_for(desk, waiting(desk.app)), Desk(desk.app).join()
    assert viewer.get(where).status_code == 200
    assert "/stop" not in viewer.get(where).text
    for act in ("stop", "go-on"):
        assert viewer.post(f"{where}/{act}", page=where).status_code == 403
    assert f'href="{where}"' in viewer.get("/admin/jobs").text


def test_no_job_is_there(desk: Desk) -> None:
    answer = desk.get("/admin/jobs/999999999")
    assert answer.status_code == 404
    sign_of_a_page(answer)


def test_nobody_has_asked_yet(make_app: MakeApp, fresh_database: str) -> None:
    app = make_app(**KEYS, database_url=fresh_database, operator_mfa="optional")
    assert "Nobody has asked for a job yet." in Desk(app).join().get("/admin/jobs").text


@pytest.mark.parametrize(
    ("beat", "told"), [(None, "was never seen"), ("1 hour", "last seen"), ("0 s", None)]
)
def test_a_silent_worker_is_told(desk: Desk, beat: str | None, told: str | None) -> None:
    where = asked_for(desk, waiting(desk.app))
    execute(desk.app, "DELETE FROM worker_beats")
    if beat is not None:
        execute(
            desk.app,
            "INSERT INTO worker_beats (beat, host, last_at, counts)"
            " VALUES ('jobs', 'here', now() - CAST(:ago AS interval), '{}')",
            ago=beat,
        )
    page = desk.get(where).text
    assert ("waits for the worker" in page) is (told is not None)
    assert told is None or told in page
    worked(desk.app)
    assert "waits for the worker" not in desk.get(where).text


def test_a_walk_waits_for_a_worker_that_is_gone(desk: Desk) -> None:
    """Its own beat may be at a walk for an hour: the other one tells."""
    with desk.app.app_context():
        job_id = jobs.ask_verify(by=By("cli:somebody"))
    execute(desk.app, "DELETE FROM worker_beats")
    for beat, ago in (("verifying", "10 minutes"), ("jobs", "0 s")):
        execute(
            desk.app,
            "INSERT INTO worker_beats (beat, host, last_at, counts)"
            " VALUES (:beat, 'here', now() - CAST(:ago AS interval), '{}')",
            beat=beat,
            ago=ago,
        )
    where = f"/admin/jobs/{job_id}"
    assert "waits for the worker" not in desk.get(where).text
    execute(desk.app, "UPDATE worker_beats SET last_at = now() - interval '10 minutes'")
    assert "waits for the worker" in desk.get(where).text


def test_all_chains_are_verified_by_a_job(desk: Desk) -> None:
    answer = desk.post("/admin/jobs/verify", page="/admin/")
    assert answer.status_code == 303
    page = desk.get(answer.location).text
    assert "Verify the hash chains" in page
    assert "all payments and acts" in page
    with desk.app.app_context():
        assert jobs.newest(kind=JobKind.VERIFY, limit=1)[0].left == 1
