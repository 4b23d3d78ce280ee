"""Operators' single sign-on over real HTTP, with an issuer that a test has lie, with the sandbox's,
and with a certified one. Panel on localhost, issuer on 127.0.0.1: two ports of one host would be
one site."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from flask import Flask
from sqlalchemy import text

from payment_service.admin import sso as views
from payment_service.domain.operators import Role
from payment_service.extensions import db
from payment_service.identity.sso import AT_ONCE, SignOn
from tests.browsing import serving
from tests.desk import KEYS, LOG_IN, PASSWORD, TOKEN, Desk, an_email
from tests.fixtures import MakeApp, a_key
from tests.lying_issuer import OTHER_KEY, PANEL, LyingIssuer, lying_issuer
from tests.oidc_provider import Issuer, running_issuer
from tests.patience import PATIENCE
from tests.sandbox_server import Sandbox

ROLES = "payments-viewer=viewer,payments-operator=operator,payments-admin=admin"
FIRST, ME = "/admin/", "/admin/me"


def single_sign_on(issuer: str, **changes: Any) -> dict[str, Any]:
    """Settings. Passwords are taken too, and no second factor is needed with them."""
    return {
        **KEYS,
        "operator_mfa": "optional",
        "operator_login": "both",
        "operator_sso_issuer": issuer,
        "operator_sso_client_id": PANEL[0],
        "operator_sso_client_secret": PANEL[1],
        "operator_sso_roles": ROLES,
        **changes,
    }


class Visitor:
    """A browser without a screen: follows redirects, keeps cookies, sends forms."""

    def __init__(self, panel: str) -> None:
        self.panel = panel
        self.session = requests.Session()
        self.session.trust_env = False

    def get(self, where: str, **more: Any) -> requests.Response:
        url = self.panel + where if where.startswith("/") else where
        return self.session.get(url, timeout=PATIENCE, **more)

    def post(self, where: str, **fields: str) -> requests.Response:
        url = self.panel + where if where.startswith("/") else where
        return self.session.post(url, data=fields, timeout=PATIENCE)

    def is_in(self) -> bool:
        return self.get(FIRST, allow_redirects=False).status_code == 200

    def role(self) -> str:
        found = re.search(r", (\w+)\. Times are in ", self.get(FIRST).text)
        assert found
        return found.group(1)

    def out(self) -> None:
        found = TOKEN.search(self.get(FIRST).text)
        assert found
        self.post("/admin/logout", csrf_token=found.group(1))

    def sent_back(self, start: str = "/admin/sso") -> str:
        """Goes to the issuer; the address to which that sends it back, not yet asked."""
        away = self.get(start, allow_redirects=False)
        assert away.status_code == 302, away.text
        answer = self.get(away.headers["Location"], allow_redirects=False)
        return answer.headers["Location"]

    def copied(self) -> Visitor:
        """Another browser that has the same cookies."""
        other = Visitor(self.panel)
        other.session.cookies.update(self.session.cookies)
        return other


def with_changed(url: str, **changes: str | None) -> str:
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changes
    kept = {name: value for name, value in query.items() if value is not None}
    return parts._replace(query=urlencode(kept)).geturl()


@pytest.fixture(scope="module")
def issuer_of_module() -> Iterator[LyingIssuer]:
    with lying_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(issuer_of_module: LyingIssuer) -> LyingIssuer:
    """Honest, with somebody whom no other test knows."""
    issuer_of_module.honest()
    issuer_of_module.subject = a_key()
    return issuer_of_module


@pytest.fixture(scope="module")
def app(make_app: MakeApp, issuer_of_module: LyingIssuer) -> Flask:
    return make_app(**single_sign_on(issuer_of_module.url))


@pytest.fixture(scope="module")
def panel(app: Flask) -> Iterator[str]:
    with serving(app, "localhost") as url:
        yield url


@pytest.fixture
def visitor(panel: str) -> Visitor:
    return Visitor(panel)


def rows(app: Flask, query: str, **values: Any) -> list[Any]:
    with app.app_context(), db.engine.connect() as connection:
        return list(connection.execute(text(query), values))


def written(app: Flask, issuer: LyingIssuer | None = None) -> list[tuple[str, str | None]]:
    """The last two acts of all; or those that name this subject in their body."""
    if issuer is None:
        found = rows(app, "SELECT act, reason FROM audit_log ORDER BY audit_id DESC LIMIT 2")
    else:
        found = rows(
            app,
            "SELECT act, reason FROM audit_log WHERE body LIKE '%' || :subject || '%'"
            " ORDER BY audit_id DESC",
            subject=issuer.subject,
        )
    return [tuple(row) for row in found]


def count_of_acts(app: Flask) -> int:
    [[count]] = rows(app, "SELECT count(*) FROM audit_log")
    return int(count)


def operators_of(app: Flask, issuer: LyingIssuer) -> list[Any]:
    return rows(
        app,
        "SELECT operator_id, role, email, password_hash, issuer FROM operators"
        " WHERE subject = :subject",
        subject=issuer.subject,
    )


def test_in_and_out(app: Flask, issuer: LyingIssuer, visitor: Visitor) -> None:
    answer = visitor.get("/admin/sso")
    assert (answer.status_code, urlsplit(answer.url).path) == (200, FIRST)
    assert visitor.role() == "operator"
    [operator] = operators_of(app, issuer)
    assert (operator.issuer, operator.password_hash) == (issuer.url, None)
    before = visitor.copied()
    visitor.out()
    assert not visitor.is_in()
    assert not before.is_in()
    visitor.get("/admin/sso")
    assert visitor.is_in()
    assert len(operators_of(app, issuer)) == 1


def test_what_is_asked(issuer: LyingIssuer, visitor: Visitor) -> None:
    """PKCE, a state and a nonce that are new each time, and nothing that is not needed."""
    visitor.get("/admin/sso")
    visitor.out()
    visitor.get("/admin/sso")
    first, _, second, exchange = issuer.asked
    names = {"response_type", "client_id", "redirect_uri", "scope", "state", "nonce"}
    assert first.keys() == names | {"code_challenge", "code_challenge_method"}
    assert (first["response_type"], first["code_challenge_method"]) == ("code", "S256")
    assert first["redirect_uri"] == f"{visitor.panel}/admin/sso/callback"
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) == 43
        assert first[name] != second[name]
    assert exchange.keys() == {"grant_type", "code", "redirect_uri", "code_verifier"}


def test_it_begins_by_a_link(visitor: Visitor) -> None:
    page = visitor.get(f"{LOG_IN}?next={ME}").text
    assert '<a href="/admin/sso?next=/admin/me"' in page
    assert "<form" in page


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        (ME, ME),
        ("//evil.example", FIRST),
        ("https://evil.example/admin", FIRST),
        ("/admin/../v1", FIRST),
        (f"{ME}?a={'x' * 4000}", FIRST),
        ("/admin\\@evil.example", FIRST),
    ],
)
def test_it_ends_at_a_page_of_ours(
    issuer: LyingIssuer, visitor: Visitor, wanted: str, path: str
) -> None:
    answer = visitor.get("/admin/sso", params={"next": wanted})
    assert (answer.status_code, answer.url) == (200, visitor.panel + path)


def test_only_who_has_the_cookie_comes_back(
    app: Flask, issuer: LyingIssuer, visitor: Visitor, panel: str
) -> None:
    """Nobody can be led to log in as somebody else."""
    acts = count_of_acts(app)
    assert Visitor(panel).get(visitor.sent_back()).status_code == 403
    assert count_of_acts(app) == acts  # or anybody could fill the log


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "x" * 43},
        {"state": None},
        {"iss": "http://127.0.0.1:9"},
        {"code": None, "error": "access_denied"},
        {"code": "of-nobody"},
        {"code": ""},
    ],
    ids=str,
)
def test_what_is_sent_back_wrongly_lets_nobody_in(
    app: Flask, issuer: LyingIssuer, visitor: Visitor, changes: dict[str, str | None]
) -> None:
    acts, back = count_of_acts(app), visitor.sent_back()
    answer = visitor.get(with_changed(back, **changes))
    assert answer.status_code == 403
    assert "Try again" in answer.text
    assert not visitor.is_in()
    assert visitor.get(back).status_code == 403  # a state is for one try
    assert operators_of(app, issuer) == []
    assert count_of_acts(app) == acts


def test_a_code_works_once(issuer: LyingIssuer, visitor: Visitor) -> None:
    back = visitor.sent_back()
    assert visitor.get(back).status_code == 200
    visitor.out()
    used = parse_qs(urlsplit(back).query)["code"][0]
    assert visitor.get(with_changed(visitor.sent_back(), code=used)).status_code == 403
    assert not visitor.is_in()


def test_a_state_works_once_whoever_kept_the_cookie(
    app: Flask, issuer: LyingIssuer, visitor: Visitor
) -> None:
    """With an issuer that lets a code work again."""
    issuer.forgetful = True
    back = visitor.sent_back()
    copy = visitor.copied()
    assert visitor.get(back).status_code == 200
    answer = copy.get(back)
    assert answer.status_code == 403
    assert "used before" in answer.text
    assert not copy.is_in()
    assert visitor.is_in()
    assert written(app, issuer)[0][0] == "log_in_failed"


def test_a_state_is_good_for_ten_minutes(
    issuer: LyingIssuer, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert views.SECONDS == 600
    back = visitor.sent_back()
    monkeypatch.setattr(views, "SECONDS", -1)  # as if they were over
    assert visitor.get(back).status_code == 403


def test_what_waits_for_the_way_back_is_no_scripts_business(
    issuer: LyingIssuer, visitor: Visitor
) -> None:
    answer = visitor.get("/admin/sso", allow_redirects=False)
    [cookie] = answer.raw.headers.getlist("Set-Cookie")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))


NOW = time.time()
LIES: dict[str, tuple[dict[str, Any], str]] = {
    "another nonce": ({"claims": {"nonce": "x" * 43}}, "nonce"),
    "no nonce": ({"claims": {"nonce": None}}, "nonce"),
    "another audience": ({"claims": {"aud": "trip-service"}}, "audience"),
    "no audience": ({"claims": {"aud": None}}, "claims"),
    "for another": ({"claims": {"aud": [PANEL[0], "other"], "azp": "other"}}, "azp"),
    "for nobody of two": ({"claims": {"aud": [PANEL[0], "other"]}}, "azp"),
    "another issuer": ({"claims": {"iss": "http://127.0.0.1:9"}}, "issuer"),
    "no issuer": ({"claims": {"iss": None}}, "claims"),
    "another key": ({"key": OTHER_KEY}, "untrusted"),
    "the client's secret": ({"key": PANEL[1] * 2, "algorithm": "HS256"}, "untrusted"),
    "no signature": ({"key": None, "algorithm": "none"}, "malformed"),
    "an unknown key": ({"header": {"kid": "two", "typ": "JWT"}}, "untrusted"),
    "an access token": ({"header": {"kid": "one", "typ": "at+jwt"}}, "type"),
    "expired": ({"claims": {"exp": NOW - 3600}}, "expired"),
    "no end": ({"claims": {"exp": None}}, "claims"),
    "not made yet": ({"claims": {"iat": NOW + 86400}}, "early"),
    "no subject": ({"claims": {"sub": None}}, "claims"),
    "a number for a subject": ({"claims": {"sub": 7}}, "subject"),
    "an endless subject": ({"claims": {"sub": "x" * 256}}, "sub"),
    "an empty subject": ({"claims": {"sub": ""}}, "sub"),
    "roles in an object": ({"claims": {"roles": {"payments-admin": {}}}}, "roles"),
    "a number for a role": ({"claims": {"roles": ["payments-admin", 7]}}, "roles"),
    "shown tomorrow": ({"claims": {"auth_time": NOW + 86400}}, "auth_time"),
    "shown at no time": ({"claims": {"auth_time": "now"}}, "auth_time"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_lets_nobody_in(app: Flask, issuer: LyingIssuer, visitor: Visitor, lie: str) -> None:
    changes, why = LIES[lie]
    for name, value in changes.items():
        setattr(issuer, name, value)
    answer = visitor.get("/admin/sso")
    assert answer.status_code == 403
    assert "not to be trusted" in answer.text
    assert not visitor.is_in()
    assert operators_of(app, issuer) == []
    assert written(app)[0] == ("log_in_failed", why)


def test_without_its_lies_it_is_believed(issuer: LyingIssuer, visitor: Visitor) -> None:
    """Odd, and true: several audiences of which we are meant, a clock that is a little off."""
    ahead = int(time.time()) + 10
    issuer.claims = {"aud": [PANEL[0], "other"], "azp": PANEL[0], "iat": ahead, "auth_time": ahead}
    issuer.header = {"kid": "one"}
    visitor.get("/admin/sso")
    assert visitor.is_in()


DISCOVERY = "/.well-known/openid-configuration"


@pytest.mark.parametrize(
    "changes",
    [
        *({"instead": {path: (500, "")}} for path in (DISCOVERY, "/token", "/keys")),
        *({"instead": {path: (200, "<p>")}} for path in (DISCOVERY, "/token", "/keys")),
        {"instead": {"/keys": (200, '{"keys": []}')}},
        {"instead": {"/token": (200, "{}")}},
        {"instead": {"/token": (401, '{"error": "invalid_client"}')}},
        {"document": {"issuer": "http://127.0.0.1:9"}},
        {"document": {"authorization_endpoint": None}},
        {"document": {"token_endpoint": "token"}},
        {"document": {"jwks_uri": "file:///etc/passwd"}},
    ],
    ids=str,
)
def test_an_issuer_that_makes_no_sense_is_away(
    issuer: LyingIssuer, visitor: Visitor, changes: dict[str, Any]
) -> None:
    for name, value in changes.items():
        setattr(issuer, name, value)
    answer = visitor.get("/admin/sso")
    assert answer.status_code == 503
    assert "gives no answer" in answer.text
    assert not visitor.is_in()


def test_an_issuer_that_hangs_keeps_few_and_for_a_short_time(
    app: Flask, issuer: LyingIssuer, panel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes by password comes in meanwhile."""
    settings = app.extensions["settings"]
    patient, hasty = SignOn(settings, PATIENCE), SignOn(settings, 0.2)

    def wait_until(met: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not met():
            assert time.monotonic() < until
            time.sleep(0.01)

    monkeypatch.setitem(app.extensions, "sso", patient)
    with ThreadPoolExecutor(AT_ONCE + 1) as pool:
        with issuer.hanging():
            first = [pool.submit(Visitor(panel).get, "/admin/sso") for _ in range(AT_ONCE)]
            wait_until(lambda: issuer.waiting == AT_ONCE)
            one_more = pool.submit(Visitor(panel).get, "/admin/sso")
            wait_until(lambda: one_more.done() or issuer.waiting > AT_ONCE)
            assert issuer.waiting == AT_ONCE
            assert one_more.result().status_code == 503
            assert Desk(app).join().is_in()
            monkeypatch.setitem(app.extensions, "sso", hasty)
            assert Visitor(panel).get("/admin/sso").status_code == 503
            monkeypatch.setitem(app.extensions, "sso", patient)
        assert [one.result(PATIENCE).status_code for one in first] == [200] * AT_ONCE
    assert Visitor(panel).get("/admin/sso").status_code == 200


def test_an_issuer_that_is_gone(make_app: MakeApp) -> None:
    desk = Desk(make_app(**single_sign_on("http://127.0.0.1:9"))).join()
    assert desk.get("/admin/sso").status_code == 503
    assert desk.is_in()


def test_without_a_role_nobody_gets_in(app: Flask, issuer: LyingIssuer, visitor: Visitor) -> None:
    issuer.roles = ["payments", "admin"]
    answer = visitor.get("/admin/sso")
    assert answer.status_code == 403
    assert "None of your roles" in answer.text
    assert not visitor.is_in()
    assert operators_of(app, issuer) == []
    assert [act for act, _ in written(app, issuer)] == ["log_in_failed"]


def test_the_role_is_taken_anew(
    app: Flask, issuer: LyingIssuer, visitor: Visitor, panel: str
) -> None:
    issuer.roles = ["payments-viewer", "payments-admin", "other", "payments-operator"]
    visitor.get("/admin/sso")
    assert visitor.role() == "admin"
    elsewhere = Visitor(panel)
    issuer.roles = ["payments-viewer"]
    elsewhere.get("/admin/sso")
    assert elsewhere.role() == "viewer"
    assert not visitor.is_in()  # that was an admin's
    issuer.roles = []
    assert visitor.get("/admin/sso").status_code == 403
    assert not elsewhere.is_in()
    assert [row.role for row in operators_of(app, issuer)] == ["viewer"]


def test_where_the_roles_stand(make_app: MakeApp, issuer: LyingIssuer) -> None:
    issuer.claims = {"roles": None, "realm_access": {"roles": ["payments-operator"]}}
    app = make_app(**single_sign_on(issuer.url, operator_sso_role_claim="realm_access.roles"))
    with serving(app, "localhost") as url:
        visitor = Visitor(url)
        visitor.get("/admin/sso")
        assert visitor.role() == "operator"


def test_nobody_is_known_by_an_e_mail(
    app: Flask, issuer: LyingIssuer, visitor: Visitor, panel: str
) -> None:
    admin = Desk(app, email=an_email()).join(Role.ADMIN)
    issuer.claims = {"email": admin.email.upper(), "email_verified": True}
    visitor.get("/admin/sso")
    assert visitor.role() == "operator"
    first = issuer.subject
    issuer.subject = a_key()
    Visitor(panel).get("/admin/sso")
    assert len(operators_of(app, issuer)) == 1
    assert issuer.subject != first
    issuer.subject, issuer.claims = first, {"email": None, "name": None}
    visitor.get("/admin/sso")
    assert visitor.role() == "operator"
    assert admin.is_in()


def test_who_is_disabled_stays_out(app: Flask, issuer: LyingIssuer, visitor: Visitor) -> None:
    visitor.get("/admin/sso")
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(
            text("UPDATE operators SET active = false WHERE subject = :subject"),
            {"subject": issuer.subject},
        )
    assert not visitor.is_in()
    answer = visitor.get("/admin/sso")
    assert answer.status_code == 403
    assert "disabled" in answer.text
    assert written(app, issuer)[0] == ("log_in_failed", "This operator is disabled.")


def test_no_token_is_kept(app: Flask, issuer: LyingIssuer, visitor: Visitor) -> None:
    visitor.get("/admin/sso")
    assert visitor.is_in()
    tables = rows(app, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    kept = [
        row
        for (table,) in tables
        if table.startswith(("operator", "audit", "used", "log_in"))
        for row in rows(app, f"SELECT CAST({table} AS text) FROM {table}")
    ]
    everything = f"{kept} {visitor.session.cookies.get_dict()}"
    assert issuer.subject in everything
    assert len(issuer.made) == 3
    for secret in (*issuer.made, issuer.asked[0]["state"], issuer.asked[0]["nonce"]):
        assert secret not in everything


def an_hour_ago(app: Flask, issuer: LyingIssuer) -> None:
    """The operator has shown who he is, but not just now."""
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE operator_sessions SET stepped_up_at = now() - interval '1 hour'"
                " WHERE operator_id = (SELECT operator_id FROM operators WHERE subject = :subject)"
            ),
            {"subject": issuer.subject},
        )


def stepped_up(app: Flask, issuer: LyingIssuer) -> list[bool | None]:
    """Of each session that is not over, whether its operator showed who he is just now."""
    found = rows(
        app,
        "SELECT stepped_up_at > now() - interval '5 minutes' FROM operator_sessions"
        " JOIN operators USING (operator_id) WHERE subject = :subject AND ended_at IS NULL",
        subject=issuer.subject,
    )
    return [row[0] for row in found]


AGAIN = f"/admin/sso?again=1&next={ME}"


def test_once_more(app: Flask, issuer: LyingIssuer, visitor: Visitor) -> None:
    visitor.get("/admin/sso")
    assert stepped_up(app, issuer) == [True]
    an_hour_ago(app, issuer)
    assert stepped_up(app, issuer) == [False]
    answer = visitor.get(AGAIN)
    assert (answer.status_code, answer.url) == (200, visitor.panel + ME)
    assert (issuer.asked[-2]["prompt"], issuer.asked[-2]["max_age"]) == ("login", "0")
    assert stepped_up(app, issuer) == [True]


def test_a_log_in_is_no_step_up_where_the_issuer_knew_the_browser(
    app: Flask, issuer: LyingIssuer, visitor: Visitor
) -> None:
    issuer.claims = {"auth_time": int(time.time()) - 3600}
    visitor.get("/admin/sso")
    issuer.claims = {"auth_time": None}
    visitor.copied().get("/admin/sso")
    assert sorted(map(bool, stepped_up(app, issuer)))[-1] is False


@pytest.mark.parametrize("ago", [3600, 60, None])
def test_once_more_means_now(
    app: Flask, issuer: LyingIssuer, visitor: Visitor, ago: int | None
) -> None:
    """Whatever the issuer was asked: what it says counts."""
    visitor.get("/admin/sso")
    an_hour_ago(app, issuer)
    issuer.claims = {"auth_time": None if ago is None else int(time.time()) - ago}
    assert visitor.get(AGAIN).status_code == 403
    assert stepped_up(app, issuer) == [False]
    assert written(app)[0] == ("log_in_failed", "auth_time")
    assert visitor.is_in()


@pytest.mark.parametrize("known", [True, False])
def test_once_more_means_the_same_person(
    app: Flask, issuer: LyingIssuer, visitor: Visitor, panel: str, known: bool
) -> None:
    visitor.get("/admin/sso")
    an_hour_ago(app, issuer)
    asked, issuer.subject = issuer.subject, a_key()
    if known:
        Visitor(panel).get("/admin/sso")
    answer = visitor.get(AGAIN)
    assert answer.status_code == 403
    assert "another person" in answer.text
    issuer.subject = asked
    assert stepped_up(app, issuer) == [False]


def test_once_more_needs_a_log_in(issuer: LyingIssuer, visitor: Visitor) -> None:
    answer = visitor.get(AGAIN, allow_redirects=False)
    assert urlsplit(answer.headers["Location"]).path == LOG_IN
    assert issuer.asked == []
    visitor.get("/admin/sso")
    back = visitor.sent_back(AGAIN)
    visitor.out()
    assert urlsplit(visitor.get(back).url).path in (LOG_IN, "/admin/sso/callback")
    assert not visitor.is_in()


def test_who_was_logged_out_meanwhile_logs_in_and_is_where_he_wanted(
    app: Flask, issuer: LyingIssuer, visitor: Visitor
) -> None:
    """And no code stands in the address of the log-in page."""
    visitor.get("/admin/sso")
    back = visitor.sent_back(AGAIN)
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(
            text("""
            UPDATE operator_sessions SET ended_at = now(), ended_why = 'by admin'
            WHERE operator_id = (SELECT operator_id FROM operators WHERE subject = :subject)"""),
            {"subject": issuer.subject},
        )
    answer = visitor.get(back, allow_redirects=False)
    assert answer.headers["Location"] == f"{LOG_IN}?next={ME}"
    answer = visitor.get(AGAIN, allow_redirects=False)
    assert answer.headers["Location"] == f"{LOG_IN}?next={ME}"


def test_once_more_takes_the_role_anew(
    app: Flask, issuer: LyingIssuer, visitor: Visitor, panel: str
) -> None:
    issuer.roles = ["payments-admin"]
    visitor.get("/admin/sso")
    issuer.roles = ["payments-viewer"]
    assert visitor.get(AGAIN).status_code == 200
    assert visitor.role() == "viewer"
    elsewhere = Visitor(panel)
    elsewhere.get("/admin/sso")
    issuer.roles = []
    answer = visitor.get(AGAIN)
    assert answer.status_code == 403
    assert "None of your roles" in answer.text
    assert not visitor.is_in()
    assert not elsewhere.is_in()
    assert written(app, issuer)[0][0] == "step_up_failed"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_elsewhere_ends_no_session(issuer: LyingIssuer, visitor: Visitor, site: str) -> None:
    """Any site can lead a browser to where a single sign-on begins."""
    visitor.get("/admin/sso")
    before = visitor.session.cookies.get("payments_dev")
    asked = len(issuer.asked)
    answer = visitor.get(
        f"/admin/sso?next={ME}", headers={"Sec-Fetch-Site": site}, allow_redirects=False
    )
    assert (answer.status_code, answer.headers["Location"]) == (303, ME)
    assert visitor.session.cookies.get("payments_dev") == before
    assert len(issuer.asked) == asked


def test_who_is_over_the_limit_has_nothing_asked(make_app: MakeApp, issuer: LyingIssuer) -> None:
    """Other pages that are looked at are made while Redis counts, and dropped; here somebody else
    would be asked, and a code used."""
    limited = make_app(**single_sign_on(issuer.url, rate_limit=f"1 per {os.getpid()} day"))
    with serving(limited, "localhost") as url:
        visitor = Visitor(url)
        back = visitor.sent_back()
        asked = len(issuer.asked)
        assert visitor.get(back).status_code == 429
        assert len(issuer.asked) == asked


def test_the_page_that_asks_once_more_leads_there(issuer: LyingIssuer, visitor: Visitor) -> None:
    visitor.get("/admin/sso")
    page = visitor.get(f"/admin/step-up?next={ME}").text
    assert '<a href="/admin/sso?again=1&amp;next=/admin/me"' in page
    assert 'name="password"' not in page


def test_where_nobody_comes_by_it(make_app: MakeApp) -> None:
    desk = Desk(make_app(**KEYS))
    assert desk.get("/admin/sso").status_code == 404
    assert desk.get("/admin/sso/callback").status_code == 404
    assert "/admin/sso" not in desk.get(LOG_IN).text


def test_where_nobody_comes_by_password(app: Flask, make_app: MakeApp, issuer: LyingIssuer) -> None:
    known = Desk(app).join()
    only = make_app(**single_sign_on(issuer.url, operator_login="sso"))
    here = Desk(only)
    here.client.set_cookie("payments_dev", known.cookie())
    assert not here.is_in()
    desk = Desk(only, email=known.email)
    page = desk.get(LOG_IN).text
    assert "/admin/sso" in page
    assert 'name="password"' not in page
    assert desk.send(LOG_IN, email=known.email, password=PASSWORD).status_code >= 400
    assert not desk.is_in()
    with serving(only, "localhost") as url:
        visitor = Visitor(url)
        visitor.get("/admin/sso")
        assert visitor.is_in()


def test_with_the_sandbox(make_app: MakeApp, sandbox: Sandbox) -> None:
    app = make_app(**single_sign_on(f"{sandbox.url}/identity"))
    with serving(app, "localhost") as url:
        visitor, name = Visitor(url), a_key()
        page = visitor.get("/admin/sso")
        assert page.url.startswith(f"{sandbox.url}/identity/authorize?")
        answer = visitor.post(page.url, sub=name, roles="payments-admin")
        assert answer.url == f"{url}{FIRST}"
        assert visitor.role() == "admin"
        answer = visitor.post(visitor.get(AGAIN).url, sub=name, roles="payments-admin")
        assert answer.url == f"{url}{ME}"
        answer = visitor.post(visitor.get("/admin/sso").url, sub=name)
        assert answer.status_code == 403
        assert not visitor.is_in()
        assert visitor.post(visitor.get("/admin/sso").url, refuse="1").status_code == 403


def test_the_sandbox_keeps_to_its_own_rules(sandbox: Sandbox) -> None:
    """Or what works with it would not with others."""
    url, back = f"{sandbox.url}/identity", "http://localhost:9/back"
    asked = {
        "response_type": "code",
        "client_id": "panel",
        "redirect_uri": back,
        "scope": "openid",
        "code_challenge": create_s256_code_challenge("v" * 43),
        "code_challenge_method": "S256",
    }
    for name in asked:
        without = {key: value for key, value in asked.items() if key != name}
        assert Visitor("").get(f"{url}/authorize", params=without).status_code == 400
    visitor = Visitor("")
    form = {"grant_type": "authorization_code", "client_id": "panel", "client_secret": "any"}
    form |= {"redirect_uri": back, "code_verifier": "v" * 43}
    for changes, status in (
        ({}, 200),
        ({"code_verifier": "w" * 43}, 400),
        ({"redirect_uri": f"{back}s"}, 400),
        ({"client_id": "other"}, 400),
    ):
        page = f"{url}/authorize?{urlencode(asked)}"
        sent = visitor.session.post(page, {"sub": "x"}, allow_redirects=False, timeout=PATIENCE)
        code = parse_qs(urlsplit(sent.headers["Location"]).query)["code"][0]
        answer = visitor.post(f"{url}/token", **form | changes, code=code)
        assert answer.status_code == status, answer.text
        assert visitor.post(f"{url}/token", **form, code=code).status_code == 400  # once


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    with running_issuer(tmp_path_factory.mktemp("issuer")) as running:
        yield running


@pytest.fixture
def of_certified(make_app: MakeApp, certified: Issuer) -> Iterator[str]:
    with serving(make_app(**single_sign_on(certified.url)), "localhost") as url:
        yield url


def test_with_a_certified_issuer(certified: Issuer, of_certified: str) -> None:
    visitor, person = Visitor(of_certified), a_key()
    certified.people(**{person: ["payments-operator"]})
    page = visitor.get("/admin/sso")
    assert page.url.startswith(f"{certified.url}/interaction/")
    answer = visitor.post(page.url, person=person)
    assert answer.url == f"{of_certified}{FIRST}", answer.text
    assert visitor.role() == "operator"
    certified.people(**{person: ["payments-admin"]})
    assert visitor.get("/admin/sso").url == f"{of_certified}{FIRST}"  # it knows the browser
    assert visitor.role() == "admin"
    page = visitor.get(AGAIN)
    assert page.url.startswith(f"{certified.url}/interaction/")  # and asks again
    assert visitor.post(page.url, person=person).url == f"{of_certified}{ME}"
    back = visitor.sent_back()
    assert visitor.get(back).status_code == 200
    assert visitor.get(back).status_code == 403  # the state is over
    certified.rotate()  # it forgets the browser then, too
    page = visitor.get("/admin/sso")
    assert visitor.post(page.url, person=person).url == f"{of_certified}{FIRST}"
    certified.people()
    assert visitor.get("/admin/sso").status_code == 403
    assert not visitor.is_in()


def test_many_at_once_of_one_person_make_one_operator(
    app: Flask, issuer: LyingIssuer, panel: str
) -> None:
    together = threading.Barrier(AT_ONCE)

    def come(_: int) -> int:
        visitor = Visitor(panel)
        together.wait(PATIENCE)
        return visitor.get("/admin/sso").status_code

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(come, range(AT_ONCE))) == [200] * AT_ONCE
    assert len(operators_of(app, issuer)) == 1
