"""Operators as an admin looks after them: by invites, roles, places and second factors."""

from __future__ import annotations

import re
from html import unescape

import pytest
from flask import Flask

from payment_service.domain.operators import Role
from tests.books import execute, row
from tests.desk import KEYS, PASSWORD, Desk, a_while_ago, an_email
from tests.fixtures import MakeApp
from tests.operators import an_operator
from tests.test_admin_pages import no_script_but_ours, sign_of_a_page
from tests.test_panel_payments import HOSTILE

PAGE = "/admin/operators"
LAST_ACT = "SELECT * FROM audit_log ORDER BY audit_id DESC LIMIT 1"


@pytest.fixture(scope="module")
def pages(make_app: MakeApp, database_of_module: str) -> Flask:
    return make_app(**KEYS, database_url=database_of_module, operator_mfa="optional")


@pytest.fixture
def admin(pages: Flask) -> Desk:
    return Desk(pages).join(Role.ADMIN)


def number(desk: Desk) -> int:
    query = "SELECT operator_id FROM operators WHERE email = :email"
    return int(row(desk.app, query, email=desk.email)["operator_id"])


def place(desk: Desk) -> str:
    return f"{PAGE}/{number(desk)}"


def role_of(desk: Desk) -> str:
    query = "SELECT role FROM operators WHERE email = :email"
    return str(row(desk.app, query, email=desk.email)["role"])


def test_all_are_listed_and_their_names_are_text(admin: Desk) -> None:
    other = an_operator(admin.app, Role.VIEWER)
    execute(
        admin.app,
        "UPDATE operators SET name = :name WHERE operator_id = :id",
        name=HOSTILE,
        id=other.operator_id,
    )
    for path in (PAGE, f"{PAGE}/{other.operator_id}"):
        answer = admin.get(path)
        sign_of_a_page(answer)
        assert other.email in answer.text
        assert no_script_but_ours(answer.text)
    assert admin.get(f"{PAGE}/999999999").status_code == 404


def test_an_invite_is_a_link_that_lets_in(admin: Desk) -> None:
    email = an_email()
    answer = admin.post(f"{PAGE}/invite", page=PAGE, email=email, name="", role="viewer")
    assert answer.status_code == 200
    sign_of_a_page(answer)
    found = re.search(r"<code>(http://localhost(/admin/invite/[^<]+))</code>", answer.text)
    assert found
    new = Desk(admin.app, email=email)
    joined = new.post(unescape(found.group(2)), name="Bo", password=PASSWORD)
    assert joined.status_code == 303
    assert new.is_in()
    assert role_of(new) == "viewer"
    again = admin.post(f"{PAGE}/{number(new)}/link", page=PAGE)
    assert "choose a new password" in again.text


@pytest.mark.parametrize(
    ("email", "role"), [("", "viewer"), ("nobody", "viewer"), ("a@b.c", "king"), ("a@b.c", "")]
)
def test_an_invite_that_can_t_be_is_told_beside_its_field(
    admin: Desk, email: str, role: str
) -> None:
    answer = admin.post(f"{PAGE}/invite", page=PAGE, email=email, name="", role=role)
    assert answer.status_code == 422
    assert 'class="error"' in answer.text


def test_a_role_is_changed_and_sessions_end(admin: Desk) -> None:
    other = Desk(admin.app).join(Role.VIEWER)
    answer = admin.post(f"{place(other)}/role", page=PAGE, role="operator")
    assert (answer.status_code, answer.location) == (303, place(other))
    assert "The role is operator now." in admin.get(place(other)).text
    assert role_of(other) == "operator"
    assert not other.is_in()
    act = row(admin.app, LAST_ACT)
    assert (act["act"], act["actor"]) == ("operator_role_changed", f"operator:{number(admin)}")
    assert admin.post(f"{place(other)}/role", page=PAGE, role="king").status_code == 422


def test_a_disabled_one_comes_in_no_more_until_enabled(admin: Desk) -> None:
    other = Desk(admin.app).join(Role.VIEWER)
    admin.post(f"{place(other)}/disable", page=PAGE)
    assert not other.is_in()
    assert other.log_in().status_code == 403
    assert "no: disabled" in admin.get(place(other)).text
    admin.post(f"{place(other)}/enable", page=PAGE)
    assert other.log_in().status_code == 303


def test_a_second_factor_is_taken_away(admin: Desk) -> None:
    other = Desk(admin.app).join(Role.OPERATOR)
    other.set_up()
    assert "Take the second factor away" in admin.get(place(other)).text
    admin.post(f"{place(other)}/second-factor/reset", page=PAGE)
    assert not other.is_in()
    assert "Take the second factor away" not in admin.get(place(other)).text


def test_sessions_of_one_are_shown_and_ended(admin: Desk) -> None:
    other = Desk(admin.app).join(Role.VIEWER)
    (session,) = set(re.findall(r"/admin/sessions/(\d+)/end", admin.get(place(other)).text))
    admin.post(f"/admin/sessions/{session}/end", page=place(other))
    assert not other.is_in()
    assert "They are logged in nowhere." in admin.get(place(other)).text


def test_the_last_admin_can_t_be_lowered_and_it_says_so(
    make_app: MakeApp, fresh_database: str
) -> None:
    app = make_app(**KEYS, database_url=fresh_database, operator_mfa="optional")
    admin = Desk(app).join(Role.ADMIN)
    answer = admin.post(f"{place(admin)}/disable", page=PAGE)
    assert answer.status_code == 303
    assert "This is the last active admin" in admin.get(place(admin)).text
    admin.post(f"{place(admin)}/role", page=PAGE, role="viewer")
    page = admin.get(place(admin)).text
    assert "Nobody changes their own role." in page
    assert f'action="{place(admin)}/role"' not in page
    assert role_of(admin) == "admin"
    assert admin.is_in()


def test_each_act_asks_once_more_who_it_is(admin: Desk) -> None:
    other = Desk(admin.app).join(Role.VIEWER)
    a_while_ago(admin)
    before = row(admin.app, LAST_ACT)["audit_id"]
    for act in ("role", "disable", "enable", "link", "second-factor/reset"):
        answer = admin.post(f"{place(other)}/{act}", page=PAGE, role="admin")
        assert answer.location == f"/admin/step-up?next={PAGE}", act
    sent = {"email": an_email(), "name": "", "role": "admin"}
    assert admin.post(f"{PAGE}/invite", page=PAGE, **sent).status_code == 303
    assert role_of(other) == "viewer"
    assert row(admin.app, LAST_ACT)["audit_id"] == before
    assert admin.post("/admin/step-up", password=PASSWORD).status_code == 303
    assert admin.post(f"{place(other)}/disable", page=PAGE).location == place(other)


def test_nobody_but_an_admin_sees_or_does_any_of_it(admin: Desk) -> None:
    approver = Desk(admin.app).join(Role.APPROVER)
    for path in (PAGE, place(admin)):
        assert approver.get(path).status_code == 403
    for act in ("role", "disable", "enable", "link", "second-factor/reset"):
        answer = approver.post(f"{place(admin)}/{act}", page="/admin/", role="viewer")
        assert answer.status_code == 403
    assert admin.is_in()
