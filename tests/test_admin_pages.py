"""The operators' pages, asked as browsers ask: who gets in, what each sees, and what nobody can
have a browser do."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from flask import Flask, session
from markupsafe import escape

from payment_service.api import auth
from payment_service.domain.operators import Busy, OutOfReach, Refused, Role
from payment_service.domain.pages import is_page
from payment_service.models.keyring import NoKey
from payment_service.services import operators
from tests.desk import (
    KEYS,
    LOG_IN,
    MAKER,
    PASSWORD,
    TOKEN,
    Desk,
    a_code_may_come_again,
    a_while_ago,
    an_email,
    invited,
)
from tests.fixtures import IN_PRODUCTION, MakeApp, a_key
from tests.operators import a_wrong_code
from tests.own_process import printed
from tests.tokens import SECURED, a_token, bearing

SECOND = "/admin/second-factor"
FOREIGN = ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"})


@pytest.fixture(scope="module")
def pages(make_app: MakeApp) -> Flask:
    """Where nobody needs a second factor."""
    return make_app(**KEYS, **SECURED, operator_mfa="optional")


@pytest.fixture(scope="module")
def strict(make_app: MakeApp) -> Flask:
    """Where all but viewers need one."""
    return make_app(**KEYS, operator_mfa="required")


@pytest.fixture
def desk(pages: Flask) -> Desk:
    """A viewer's, who is logged in."""
    return Desk(pages).join()


VIEWER, ADMIN = Role.VIEWER, Role.ADMIN
HALF = "half"
"""Whose second factor is still to come sees it, too."""

# Every page, and who sees it at least; None is open to all.
TABLE: dict[tuple[str, str], Role | str | None] = {
    ("GET", "/admin/"): VIEWER,
    ("GET", "/admin/payments"): VIEWER,
    ("GET", "/admin/payments/newer"): VIEWER,
    ("GET", "/admin/refunds/newer"): VIEWER,
    ("GET", "/admin/webhooks/newer"): VIEWER,
    ("GET", "/admin/audit/newer"): VIEWER,
    ("GET", "/admin/approvals/newer"): VIEWER,
    ("GET", "/admin/payments/999999999"): VIEWER,
    ("GET", "/admin/payments/999999999/story"): VIEWER,
    ("GET", "/admin/payments/999999999/receipt"): VIEWER,
    ("GET", "/admin/find"): VIEWER,
    ("POST", "/admin/payments/999999999/notes"): Role.OPERATOR,
    ("POST", "/admin/views"): VIEWER,
    ("POST", "/admin/views/999999999/rename"): VIEWER,
    ("POST", "/admin/views/999999999/share"): VIEWER,
    ("POST", "/admin/views/999999999/delete"): VIEWER,
    ("GET", "/admin/now"): VIEWER,
    ("GET", "/admin/events"): VIEWER,
    ("POST", "/admin/events/resend"): Role.OPERATOR,
    ("POST", "/admin/events/skip"): Role.OPERATOR,
    ("GET", "/admin/webhooks"): VIEWER,
    ("GET", "/admin/webhooks/refused"): VIEWER,
    ("GET", "/admin/webhooks/999999999"): VIEWER,
    ("POST", "/admin/webhooks/999999999/replay"): Role.OPERATOR,
    ("GET", "/admin/health"): VIEWER,
    ("GET", "/admin/audit"): VIEWER,
    ("GET", "/admin/catalog"): VIEWER,
    ("GET", "/admin/disputes"): VIEWER,
    ("GET", "/admin/disputes/999999999"): VIEWER,
    ("GET", "/admin/customers"): Role.OPERATOR,
    ("GET", "/admin/customers/999999999"): Role.OPERATOR,
    ("POST", "/admin/customers/find"): Role.OPERATOR,
    ("GET", "/admin/customers/999999999/erase"): ADMIN,
    ("POST", "/admin/customers/999999999/erase"): ADMIN,
    ("GET", "/admin/catalog/999999999"): ADMIN,
    ("POST", "/admin/catalog/999999999/edit"): ADMIN,
    ("GET", "/admin/help"): VIEWER,
    ("GET", "/admin/keys"): VIEWER,
    ("GET", "/admin/operators"): ADMIN,
    ("GET", "/admin/operators/999999999"): ADMIN,
    ("POST", "/admin/operators/invite"): ADMIN,
    ("POST", "/admin/operators/999999999/link"): ADMIN,
    ("POST", "/admin/operators/999999999/role"): ADMIN,
    ("POST", "/admin/operators/999999999/disable"): ADMIN,
    ("POST", "/admin/operators/999999999/enable"): ADMIN,
    ("POST", "/admin/operators/999999999/second-factor/reset"): ADMIN,
    ("POST", "/admin/audit/explain/999999999"): ADMIN,
    ("GET", "/admin/jobs"): VIEWER,
    ("GET", "/admin/jobs/999999999"): VIEWER,
    ("POST", "/admin/jobs/999999999/stop"): Role.OPERATOR,
    ("POST", "/admin/jobs/999999999/go-on"): Role.OPERATOR,
    ("POST", "/admin/jobs/verify"): Role.OPERATOR,
    ("GET", "/admin/bulk"): Role.OPERATOR,
    ("POST", "/admin/bulk/ask"): Role.OPERATOR,
    ("GET", "/admin/login"): None,
    ("POST", "/admin/login"): None,
    ("POST", "/admin/logout"): HALF,
    ("GET", "/admin/sso"): None,
    ("GET", "/admin/sso/callback"): None,
    ("GET", "/admin/invite/none"): None,
    ("POST", "/admin/invite/none"): None,
    ("GET", "/admin/second-factor"): HALF,
    ("POST", "/admin/second-factor"): HALF,
    ("GET", "/admin/step-up"): HALF,
    ("POST", "/admin/step-up"): HALF,
    ("GET", "/admin/me"): VIEWER,
    ("POST", "/admin/me/password"): VIEWER,
    ("POST", "/admin/me/preferences"): VIEWER,
    ("POST", "/admin/me/sessions/1/end"): VIEWER,
    ("POST", "/admin/me/sessions/end-others"): VIEWER,
    ("GET", "/admin/payments.csv"): Role.OPERATOR,
    ("GET", "/admin/refunds.csv"): Role.OPERATOR,
    ("GET", "/admin/audit.csv"): Role.OPERATOR,
    ("GET", "/admin/refunds"): VIEWER,
    ("GET", "/admin/approvals"): VIEWER,
    ("GET", "/admin/approvals/999999999"): VIEWER,
    ("GET", "/admin/payments/999999999/refund"): Role.OPERATOR,
    ("POST", "/admin/payments/999999999/refund"): Role.OPERATOR,
    ("GET", "/admin/payments/999999999/capture"): Role.OPERATOR,
    ("POST", "/admin/payments/999999999/capture"): Role.OPERATOR,
    ("GET", "/admin/payments/999999999/cancel"): Role.OPERATOR,
    ("POST", "/admin/payments/999999999/cancel"): Role.OPERATOR,
    ("GET", "/admin/payments/999999999/look-up"): Role.OPERATOR,
    ("POST", "/admin/payments/999999999/look-up"): Role.OPERATOR,
    ("GET", "/admin/payments/999999999/cash-received"): Role.OPERATOR,
    ("POST", "/admin/payments/999999999/cash-received"): Role.OPERATOR,
    ("GET", "/admin/payments/999999999/cash-handed-back"): Role.OPERATOR,
    ("POST", "/admin/payments/999999999/cash-handed-back"): Role.OPERATOR,
    ("POST", "/admin/payments/999999999/refund/ask"): Role.OPERATOR,
    ("POST", "/admin/approvals/999999999/approve"): Role.APPROVER,
    ("POST", "/admin/approvals/999999999/decline"): Role.APPROVER,
    ("POST", "/admin/approvals/999999999/withdraw"): Role.OPERATOR,
    ("GET", "/admin/sessions"): ADMIN,
    ("POST", "/admin/sessions/1/end"): ADMIN,
}
LOOKS = [(path, who) for (method, path), who in TABLE.items() if method == "GET"]
POSTS = [(path, who) for (method, path), who in TABLE.items() if method == "POST"]


OUR_SCRIPT = '<script src="/static/admin/panel.js" defer></script>'


def no_script_but_ours(page: str) -> bool:
    """No text of a page is a script."""
    return "<script" not in page.replace(OUR_SCRIPT, "", 1)


def sign_of_a_page(answer: Any) -> None:
    """What every answer of a page has, an error's too."""
    assert answer.mimetype == "text/html"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    if answer.status_code < 300 or answer.status_code >= 400:
        assert '<html lang="en"' in answer.text
        assert answer.text.count("<h1>") == 1
        assert '<main id="main"' in answer.text
        assert no_script_but_ours(answer.text)
        assert "style=" not in answer.text
        assert not re.search(r"<[^>]*\son\w+=", answer.text)


# In


def test_in_and_out(pages: Flask) -> None:
    desk = Desk(pages).join(Role.OPERATOR)
    assert desk.email in desk.get("/admin/me").text
    out = desk.post("/admin/logout", page="/admin/")
    assert (out.status_code, out.location) == (303, LOG_IN)
    assert "You are logged out." in desk.get(LOG_IN).text
    assert not desk.is_in()
    answer = desk.log_in()
    assert (answer.status_code, answer.location) == (303, "/admin/")
    assert desk.is_in()
    assert desk.get(LOG_IN).location == "/admin/"


def test_wrong_and_unknown_get_the_same_page(pages: Flask) -> None:
    known = Desk(pages).join()
    known.client.delete_cookie("payments_dev")
    told = []
    for email in (known.email, an_email()):
        answer = Desk(pages).log_in(email=email, password="wrong, and long enough")
        sign_of_a_page(answer)
        body = TOKEN.sub("", answer.text).replace(email, "E")
        told.append((answer.status_code, body, sorted(answer.headers.keys())))
    assert told[0] == told[1]
    assert told[0][0] == 403
    assert "E-mail or password is not right." in told[0][1]


def test_five_wrong_then_the_wait_is_told(pages: Flask) -> None:
    desk = Desk(pages).join()
    other = Desk(pages, email=desk.email)
    answers = [other.log_in(password="wrong, and long enough") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [403] * 4 + [429] * 2
    assert int(answers[5].headers["Retry-After"]) > 0
    assert "Too many tries" in answers[5].text
    assert other.log_in().status_code == 429  # the right one, too


def test_what_is_missing_is_told_beside_its_field(pages: Flask) -> None:
    answer = Desk(pages).log_in(email="", password="")
    assert answer.status_code == 422
    assert 'aria-describedby="email-error"' in answer.text
    assert 'id="email-error">Enter your e-mail address.' in answer.text
    assert 'id="password-error">Enter your password.' in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert Desk(pages).log_in(email="a\x00b@example.com").status_code == 422


@pytest.mark.parametrize("kind", ["file", "json"])
def test_what_no_form_of_ours_sends_is_no_mishap_of_ours(pages: Flask, kind: str) -> None:
    desk = Desk(pages)
    found = TOKEN.search(desk.get(LOG_IN).text)
    assert found
    email: Any = (BytesIO(b"x"), "x.txt") if kind == "file" else 7
    fields = {"csrf_token": found.group(1), "email": email, "password": PASSWORD}
    body = {"data": fields} if kind == "file" else {"json": fields}
    headers = {"X-CSRFToken": found.group(1)}
    answer = desk.client.post(LOG_IN, base_url=desk.base, headers=headers, **body)
    assert answer.status_code == 415
    sign_of_a_page(answer)


def test_a_link_lets_in_once(pages: Flask) -> None:
    email = an_email()
    link = invited(pages, Role.VIEWER, email)
    desk = Desk(pages, email=email)
    assert desk.get(link).status_code == 200
    assert desk.get(link).status_code == 200  # looking does not use it
    weak = desk.post(link, name="Ann", password="password1234")
    assert weak.status_code == 422
    assert 'id="password-error"' in weak.text
    assert desk.post(link, name="Ann", password=PASSWORD).status_code == 303
    assert desk.is_in()
    for used in (desk.get(link), desk.post(link, page="/admin/", name="Bob", password=PASSWORD)):
        assert used.status_code == 410
        sign_of_a_page(used)
    assert desk.get("/admin/invite/never-one").status_code == 410


def test_what_people_are_called_is_text(pages: Flask) -> None:
    desk = Desk(pages)
    link = invited(pages, Role.VIEWER, desk.email)
    name = '<script>alert(1)</script> & "Co"'
    assert desk.post(link, name=name, password=PASSWORD).status_code == 303
    for path in ("/admin/", "/admin/me"):
        page = desk.get(path).text
        assert no_script_but_ours(page)
        assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;Co&#34;" in page


# Back to what was wanted


@pytest.mark.parametrize(
    "spelling",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/admin/",
        "\\\\evil.example",
        "/admin/\\..\\//evil.example",
        "/admin//evil.example",
        "%2F%2Fevil.example",
        "/\t/evil.example",
        "/admin/@evil.example",
        "/administrator",
        "javascript:alert(1)",
        "/admin/me\r\nSet-Cookie: a=b",
    ],
)
def test_a_log_in_leads_to_pages_of_ours_only(desk: Desk, spelling: str) -> None:
    """Whoever is logged in is sent on the same way."""
    answer = desk.get(LOG_IN, query_string={"next": spelling})
    assert (answer.status_code, answer.location) == (303, "/admin/")


def test_a_log_in_leads_back_to_what_was_wanted(pages: Flask) -> None:
    desk = Desk(pages).join()
    desk.post("/admin/logout", page="/admin/")
    asked = desk.get("/admin/me?tab=2")
    assert asked.location == "/admin/login?next=/admin/me?tab%3D2"
    assert desk.log_in(asked.location).location == "/admin/me?tab=2"
    desk.post("/admin/logout", page="/admin/")
    sent = desk.send("/admin/me/preferences", csrf_token="none")
    assert sent.status_code == 400


# The cookie


def test_the_cookie_over_tls(pages: Flask) -> None:
    desk = Desk(pages, secure=True)
    link = invited(pages, Role.VIEWER, desk.email)
    answer = desk.post(link, name="Ann", password=PASSWORD)
    cookies = answer.headers.getlist("Set-Cookie")
    assert {cookie.split("=")[0] for cookie in cookies} == {
        "__Host-payments",
        "__Host-payments_forms",
    }
    for cookie in cookies:
        flags = {flag.strip() for flag in cookie.split(";")[1:]}
        assert flags == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"}
    (own,) = (cookie for cookie in cookies if cookie.startswith("__Host-payments="))
    assert re.fullmatch(r"__Host-payments=[\w-]{43}", own.split(";")[0])  # 256 bits, nothing else
    assert desk.is_in()
    out = desk.post("/admin/logout", page="/admin/")
    (gone,) = (
        cookie
        for cookie in out.headers.getlist("Set-Cookie")
        if cookie.startswith("__Host-payments=;")
    )
    assert "Max-Age=0" in gone
    assert "Secure" in gone


def test_the_cookie_in_development(pages: Flask) -> None:
    desk = Desk(pages)
    link = invited(pages, Role.VIEWER, desk.email)
    answer = desk.post(link, name="Ann", password=PASSWORD)
    cookies = answer.headers.getlist("Set-Cookie")
    assert {cookie.split("=")[0] for cookie in cookies} == {"payments_dev", "payments_dev_forms"}
    for cookie in cookies:
        flags = {flag.strip() for flag in cookie.split(";")[1:]}
        assert flags == {"HttpOnly", "Path=/", "SameSite=Lax"}


def test_production_takes_no_cookie_of_plain_http(make_app: MakeApp, desk: Desk) -> None:
    production = make_app(**{**IN_PRODUCTION, **KEYS})
    other = Desk(production)
    other.client.set_cookie("payments_dev", desk.cookie())
    assert not other.is_in()
    other.client.set_cookie("__Host-payments", desk.cookie())
    assert "__Host-payments_forms" in other.get("/admin/").headers["Set-Cookie"]


def test_a_log_in_has_a_new_id(pages: Flask) -> None:
    """Whoever put a cookie there before knows nothing of the session."""
    desk = Desk(pages).join()
    first = desk.cookie()
    answer = desk.log_in(page="/admin/")
    assert answer.status_code == 303
    assert desk.cookie() != first
    assert not desk.with_cookie(first).is_in()
    planted = desk.with_cookie("planted")
    planted.log_in()
    assert planted.cookie() != "planted"
    assert not desk.with_cookie("planted").is_in()


def test_a_copied_cookie_opens_nothing_after_the_log_out(desk: Desk) -> None:
    copy = desk.with_cookie(desk.cookie())
    forms = desk.client.get_cookie("payments_dev_forms")
    assert forms is not None
    copy.client.set_cookie("payments_dev_forms", forms.value)
    assert copy.is_in()
    desk.post("/admin/logout", page="/admin/")
    assert not copy.is_in()


@pytest.mark.parametrize("act", ["disable", "change_role", "change_password", "reset"])
def test_a_copied_cookie_opens_nothing_after_what_ends_sessions(pages: Flask, act: str) -> None:
    desk = Desk(pages).join(Role.OPERATOR)
    copy = desk.with_cookie(desk.cookie())
    assert copy.is_in()
    with pages.app_context():
        if act == "disable":
            operators.disable(who=desk.email, by=MAKER)
        elif act == "change_role":
            operators.change_role(who=desk.email, role=Role.VIEWER, by=MAKER)
        elif act == "reset":
            operators.reset_second_factor(who=desk.email, by=MAKER)
    if act == "change_password":
        changed = desk.post(
            "/admin/me/password", page="/admin/me", old=PASSWORD, new="nine green lamps on a shelf"
        )
        assert changed.status_code == 303
        assert desk.is_in()
    assert not copy.is_in()


def test_no_other_cookie_says_who_one_is(pages: Flask, desk: Desk) -> None:
    """Flask's session and Flask-Login's cookie of who is remembered, signed by ourselves."""
    with pages.app_context():
        serializer = pages.session_interface.get_signing_serializer(pages)  # type: ignore[attr-defined]
        value = serializer.dumps({"_user_id": "1", "_fresh": True})
    for name in ("payments_dev_forms", "session", "remember_token", "payments_dev"):
        other = Desk(pages)
        other.client.set_cookie(name, value)
        assert not other.is_in()


# Forged


def test_every_post_from_another_site_is_refused(desk: Desk) -> None:
    token = TOKEN.search(desk.get("/admin/").text)
    assert token
    for path, _ in POSTS:
        for headers in FOREIGN:
            answer = desk.send(path, headers, csrf_token=token.group(1), password=PASSWORD)
            assert answer.status_code == 403, path
            sign_of_a_page(answer)
    assert desk.is_in()


def test_every_post_without_its_token_is_refused(desk: Desk) -> None:
    stolen = TOKEN.search(Desk(desk.app).get(LOG_IN).text)
    assert stolen
    for path, _ in POSTS:
        for sent in ({}, {"csrf_token": "none"}, {"csrf_token": stolen.group(1)}):
            answer = desk.send(path, {"Sec-Fetch-Site": "same-origin"}, **sent, email="a")
            assert answer.status_code == 400, path
            sign_of_a_page(answer)
    assert desk.is_in()


def test_nothing_is_done_by_looking(desk: Desk) -> None:
    for path, _ in POSTS:
        if path not in dict(LOOKS):
            assert desk.get(path).status_code == 405
    assert desk.is_in()


def test_a_form_is_of_the_log_in_for_which_it_was_made(pages: Flask) -> None:
    desk = Desk(pages).join()
    before = TOKEN.search(desk.get("/admin/").text)
    assert before
    desk.log_in(page="/admin/")
    out = desk.send("/admin/logout", csrf_token=before.group(1))
    assert out.status_code == 400
    assert desk.is_in()


def test_what_makes_forms_good_is_of_one_browser(desk: Desk) -> None:
    """Whoever could put a cookie there would know a token that fits it."""
    stranger = Desk(desk.app)
    token = TOKEN.search(stranger.get(LOG_IN).text)
    planted = stranger.client.get_cookie("payments_dev_forms")
    assert token and planted
    desk.client.set_cookie("payments_dev_forms", planted.value)
    out = desk.send("/admin/logout", csrf_token=token.group(1))
    assert out.status_code == 400
    assert desk.is_in()


def test_over_tls_the_referrer_must_be_ours(pages: Flask) -> None:
    desk = Desk(pages, secure=True).join()
    for referrer in ("https://evil.example/", ""):
        out = desk.post("/admin/logout", page="/admin/", headers={"Referer": referrer})
        assert out.status_code == 400
    assert desk.is_in()


# Who sees what


def test_the_table_has_every_page(pages: Flask) -> None:
    values = {"<id:session_id>": "1", "<token>": "none"}
    there = {
        (method, re.sub("<[^>]*>", lambda found: values.get(found[0], "999999999"), rule.rule))
        for rule in pages.url_map.iter_rules()
        if is_page(rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert there == TABLE.keys()


@pytest.mark.parametrize("role", Role)
def test_every_page_and_every_role(pages: Flask, role: Role) -> None:
    desk = Desk(pages).join(role)
    for (method, path), least in TABLE.items():
        if path in ("/admin/logout", "/admin/me/sessions/1/end"):
            continue
        sent = desk.get(path) if method == "GET" else desk.post(path, page="/admin/")
        refused = isinstance(least, Role) and list(Role).index(role) < list(Role).index(least)
        assert (sent.status_code == 403) is refused, (method, path, sent.status_code)
        if refused or not path.endswith((".csv", "/now")):
            sign_of_a_page(sent)
    assert desk.is_in()


def test_who_is_not_logged_in_sees_the_log_in_only(pages: Flask) -> None:
    for path, rule in LOOKS:
        answer = Desk(pages).get(path)
        if rule is None:
            assert answer.status_code in (200, 404, 410), path
        else:
            assert answer.status_code == 303, path
            assert answer.location.startswith(LOG_IN)
        sign_of_a_page(answer)


def test_half_a_log_in_reaches_its_second_factor_only(strict: Flask) -> None:
    """Of who has none yet, its set-up; of who has one, its code. And the way out."""
    desk = Desk(strict).join(Role.ADMIN)
    new = desk.with_cookie(desk.cookie())
    assert "Set up a second factor" in new.get(SECOND).text
    desk.set_up()
    assert desk.is_in()
    desk.post("/admin/logout", page="/admin/")
    desk.log_in()
    half = desk.with_cookie(desk.cookie())
    assert "your app shows now" in half.get(SECOND).text
    for path, rule in LOOKS:
        if isinstance(rule, Role):
            answer = half.get(path)
            assert answer.status_code == 303
            assert answer.location.startswith(SECOND)
    for path, rule in POSTS:
        if isinstance(rule, Role):
            answer = half.post(path, page=SECOND)
            assert answer.status_code == 303
            assert answer.location.startswith(SECOND)
    assert half.get("/admin/step-up").location.startswith(SECOND)
    assert half.post("/admin/logout", page=SECOND).location == LOG_IN


def test_set_up_reaches_its_set_up_only(strict: Flask) -> None:
    desk = Desk(strict).join(Role.OPERATOR)
    for path, rule in LOOKS:
        if isinstance(rule, Role):
            assert desk.get(path).location.startswith(SECOND), path
    for path, rule in POSTS:
        if isinstance(rule, Role):
            assert desk.post(path, page=SECOND).location.startswith(SECOND), path


def test_neither_side_takes_the_other_s_key(make_app: MakeApp) -> None:
    app = make_app(**{**SECURED, **KEYS}, operator_mfa="optional")
    desk = Desk(app).join(Role.ADMIN)
    assert desk.is_in()
    assert desk.get("/v1/payments").status_code == 401
    assert Desk(app).get("/admin/", headers=bearing(a_token())).status_code == 303
    for path in ("/v1/payments", "/docs", "/health", "/openapi.json", "/static/admin/panel.css"):
        with desk.get(path, headers=bearing(a_token())) as answer:
            assert answer.status_code == 200
            assert "Set-Cookie" not in answer.headers
            assert "Cookie" not in answer.headers.get("Vary", "")


def test_the_api_has_no_session(pages: Flask) -> None:
    with pages.test_request_context("/v1/payments"), pytest.raises(RuntimeError):
        session["any"] = "thing"


def test_a_page_without_a_rule_stops_the_start(make_app: MakeApp) -> None:
    app = make_app(**KEYS)
    app.add_url_rule("/admin/new", "admin.new", lambda: "new")
    with pytest.raises(RuntimeError, match=r"admin\.new"):
        auth.expect_rules(app)


# Second factor and step-up


def test_a_second_factor_from_its_set_up_to_its_loss(strict: Flask) -> None:
    desk = Desk(strict).join(Role.OPERATOR)
    first = desk.cookie()
    page = desk.get(SECOND)
    assert "<svg" in page.text
    offered = re.search(r"<code>([^<]+)</code>", page.text)
    assert offered
    wrong_code = a_wrong_code(offered.group(1).replace(" ", ""))
    assert desk.post(SECOND, code=wrong_code).status_code == 422
    codes = desk.set_up()
    assert len(set(codes)) == 10
    assert desk.cookie() != first
    assert not desk.with_cookie(first).is_in()
    assert not any(code in desk.get(path).text for code in codes for path in ("/admin/me", SECOND))

    desk.post("/admin/logout", page="/admin/")
    answer = desk.log_in("/admin/login?next=/admin/me")
    assert answer.location == f"{SECOND}?next=/admin/me"
    half = desk.cookie()
    a_code_may_come_again(desk)
    wrong = desk.post(answer.location, code=a_wrong_code(desk.secret))
    assert wrong.status_code == 403
    assert "That code is not right" in wrong.text
    right = desk.post(answer.location, code=desk.code())
    assert (right.status_code, right.location) == (303, "/admin/me")
    assert desk.cookie() != half
    assert not desk.with_cookie(half).is_in()


def test_a_code_works_once(strict: Flask) -> None:
    desk = Desk(strict).join(Role.OPERATOR)
    desk.set_up()
    other = Desk(strict, email=desk.email)
    other.secret = desk.secret
    other.log_in()
    assert other.post(SECOND, code=desk.set_up_by).status_code == 403
    a_code_may_come_again(desk)
    code = other.code()
    assert other.post(SECOND, code=code).status_code == 303
    third = Desk(strict, email=desk.email)
    third.log_in()
    assert third.post(SECOND, code=code).status_code == 403


def test_a_recovery_code_works_once(strict: Flask) -> None:
    desk = Desk(strict).join(Role.OPERATOR)
    code = desk.set_up()[3]
    for status in (303, 403):
        other = Desk(strict, email=desk.email)
        other.log_in()
        assert other.post(SECOND, code=code).status_code == status


def test_a_new_second_factor_asks_once_more_who_it_is(pages: Flask) -> None:
    desk = Desk(pages).join()
    a_while_ago(desk)
    asked = desk.get(SECOND)
    assert asked.location == f"/admin/step-up?next={SECOND}"
    assert desk.post(SECOND, page="/admin/me", code="000000").location == "/admin/step-up"
    assert desk.post(asked.location, password="wrong, and long enough").status_code == 403
    assert desk.get(SECOND).status_code == 303
    assert desk.post(asked.location, password=PASSWORD).location == SECOND
    desk.set_up()
    a_while_ago(desk)
    a_code_may_come_again(desk)
    assert desk.get(SECOND).status_code == 303
    assert 'name="code"' in desk.get("/admin/step-up").text
    assert desk.post(asked.location, code=desk.code()).location == SECOND
    assert "takes the place of the one that you have" in desk.get(SECOND).text


# My account, and everybody's sessions


def test_my_account(pages: Flask) -> None:
    desk = Desk(pages).join()
    other = Desk(pages, email=desk.email)
    other.client.environ_base["HTTP_USER_AGENT"] = "A browser <at home>"
    other.log_in()
    page = desk.get("/admin/me").text
    assert "A browser &lt;at home&gt;" in page
    (own,) = re.findall(r'sessions/(\d+)/end"(?:(?!sessions/).)*this one', page, re.DOTALL)
    (others,) = set(re.findall(r"sessions/(\d+)/end", page)) - {own}
    assert desk.post(f"/admin/me/sessions/{others}/end", page="/admin/me").status_code == 303
    assert "The session is ended." in desk.get("/admin/me").text
    assert not other.is_in()
    assert desk.post(f"/admin/me/sessions/{others}/end", page="/admin/me").status_code == 303
    assert "That session is over already." in desk.get("/admin/me").text
    other.log_in()
    desk.post("/admin/me/sessions/end-others", page="/admin/me")
    assert "Ended 1 other session." in desk.get("/admin/me").text
    assert not other.is_in()
    assert desk.post(f"/admin/me/sessions/{own}/end", page="/admin/me").location == LOG_IN
    assert not desk.is_in()


def test_my_password(pages: Flask) -> None:
    desk = Desk(pages).join()
    first = desk.cookie()

    def change(old: str, new: str) -> Any:
        return desk.post("/admin/me/password", page="/admin/me", old=old, new=new)

    assert 'id="old-error"' in change("wrong, and long enough", "nine green lamps on a shelf").text
    assert 'id="new-error"' in change(PASSWORD, "short").text
    assert 'id="new-error"' in change(PASSWORD, "password1234").text
    assert change(PASSWORD, "nine green lamps on a shelf").status_code == 303
    assert "Your password is changed." in desk.get("/admin/me").text
    assert desk.cookie() != first
    assert Desk(pages, email=desk.email).log_in().status_code == 403
    again = Desk(pages, email=desk.email).log_in(password="nine green lamps on a shelf")
    assert again.status_code == 303


def test_how_pages_look(desk: Desk) -> None:
    def choose(timezone: str, theme: str, numbers: str = "receipt") -> Any:
        sent = {"timezone": timezone, "theme": theme, "numbers": numbers}
        return desk.post("/admin/me/preferences", page="/admin/me", **sent)

    assert "data-theme" not in desk.get("/admin/").text
    assert choose("Asia/Kolkata", "dark").status_code == 303
    page = desk.get("/admin/").text
    assert 'data-theme="dark"' in page
    when = re.search(r'<time datetime="[^T]+T(\d\d):(\d\d)[^"]+">[\d-]+ (\d\d):(\d\d)</time>', page)
    assert when
    minutes = [int(number) for number in when.groups()]
    ahead = (minutes[2] - minutes[0]) * 60 + minutes[3] - minutes[1]
    assert ahead % (24 * 60) == 330
    for wrong in (("Mars/Base", "dark"), ("UTC", "pink"), ("UTC", "dark", "xx_XX")):
        assert choose(*wrong).status_code == 422
    assert 'data-theme="dark"' in desk.get("/admin/").text


def test_an_admin_ends_anybody_s_session(pages: Flask) -> None:
    admin, desk = Desk(pages).join(Role.ADMIN), Desk(pages).join()
    page = admin.get("/admin/sessions").text
    (row,) = (row for row in page.split("<tr>") if desk.email in row)
    (number,) = re.findall(r"/admin/sessions/(\d+)/end", row)
    other = Desk(pages).join()
    assert other.post(f"/admin/sessions/{number}/end", page="/admin/").status_code == 403
    assert other.post(f"/admin/me/sessions/{number}/end", page="/admin/").status_code == 303
    assert desk.is_in()  # it was not his
    answer = admin.post(f"/admin/sessions/{number}/end", page="/admin/sessions")
    assert answer.location == "/admin/sessions"
    assert not desk.is_in()
    assert admin.is_in()


# Errors are pages


def test_errors_are_pages(desk: Desk) -> None:
    for answer, status in (
        (desk.get("/admin/nothing"), 404),
        (Desk(desk.app).get("/admin/nothing"), 404),
        (desk.client.put("/admin/me"), 405),
        (desk.get(f"/admin/{'x' * 9000}"), 414),
        (desk.get("/admin/4111111111111111"), 422),
        (desk.send(LOG_IN, csrf_token="x" * 100_000), 413),
        (desk.get("/admin/me", headers={"X-Request-ID": "a, b"}), 400),
    ):
        assert answer.status_code == status
        sign_of_a_page(answer)
        assert "problem" not in answer.text
    assert not is_page("/administrator")
    assert desk.get("/administrator").mimetype == "application/problem+json"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Busy("Come again in 3 seconds."), 503),
        (Refused("This can't be done."), 409),
        (NoKey("ENCRYPTION_KEYS is not set"), 503),
        (OutOfReach("This session is over."), 303),
    ],
)
def test_what_no_form_has_a_place_for(make_app: MakeApp, error: Exception, status: int) -> None:
    app = make_app(**KEYS)

    def fail() -> None:
        raise error

    app.view_functions["admin.log_in"] = fail
    answer = Desk(app).get(LOG_IN)
    assert answer.status_code == status
    sign_of_a_page(answer)
    assert (escape(str(error)) in answer.text) is (status != 303)


def test_a_page_of_an_error_says_what_was_done_and_names_the_request(make_app: MakeApp) -> None:
    app = make_app(**KEYS)
    desk = Desk(app).join()

    def failing(error: Exception) -> Callable[[], None]:
        def fail() -> None:
            raise error

        return fail

    unsure = "Whether it was done is not sure"
    for view, error, told in (
        ("admin.me", RuntimeError("x"), None),
        ("admin.set_preferences", RuntimeError("x"), unsure),
        ("admin.set_preferences", Refused("This can't be done"), "be done. Nothing was done."),
        ("admin.set_preferences", Refused("Nothing was done yet."), "Nothing was done yet."),
    ):
        app.view_functions[view] = failing(error)
        path = "/admin/me" if told is None else "/admin/me/preferences"
        answer = desk.get(path) if told is None else desk.post(path, page="/admin/")
        assert f"<code>{answer.headers['X-Request-ID']}</code>" in answer.text
        assert (told or "") in answer.text
        assert (unsure in answer.text) is (told == unsure)
        assert answer.text.count("Nothing was done") == (told not in (None, unsure))
    # Nobody who is not known gets any further.
    answer = Desk(app).send("/admin/me/preferences")
    assert (answer.status_code, answer.text.count("Nothing was done.")) == (400, 1)


def test_too_many_requests_is_a_page(make_app: MakeApp) -> None:
    desk = Desk(make_app(**KEYS, rate_limit="2 per hour", redis_url=None))
    answers = [desk.get(LOG_IN) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    sign_of_a_page(answers[2])
    assert int(answers[2].headers["Retry-After"]) > 0


def test_without_a_database_there_is_a_page(make_app: MakeApp) -> None:
    url = "postgresql://nobody:nothing@127.0.0.1:9/none"
    desk = Desk(make_app(**{**KEYS, "database_url": url}))
    desk.client.set_cookie("payments_dev", a_key())
    for path in ("/admin/", LOG_IN):
        answer = desk.get(path)
        assert answer.status_code == 503
        sign_of_a_page(answer)


def test_without_a_key_there_is_a_page(make_app: MakeApp) -> None:
    answer = Desk(make_app(secret_key=None)).get(LOG_IN)
    assert answer.status_code == 503
    sign_of_a_page(answer)


@pytest.mark.slow
def test_a_link_is_in_no_log(postgres_url: str) -> None:
    script = """
for path in ("", "/", ".", "%0A", "?next=/"):
    client.get(f"/admin/invite/aBcDeFgHiJkLmNoPqRsTuVwXyZ{path}")
client.get("/api/admin/invite/aBcDeFgHiJkLmNoPqRsTuVwXyZ")
"""
    lines = printed(script, DATABASE_URL=postgres_url, SECRET_KEY=KEYS["secret_key"])
    assert len(lines) >= 6
    assert any("/admin/invite/[secret]" in line for line in lines)
    assert "aBcDe" not in "".join(lines)
