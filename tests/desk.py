"""An operator at a desk: a browser, as the test client has one, and the codes of a telephone."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pyotp
from flask import Flask
from sqlalchemy import text
from werkzeug.test import TestResponse

from payment_service.domain.operators import By, Role
from payment_service.extensions import db
from payment_service.services import invites
from tests.fixtures import IN_PRODUCTION, a_key
from tests.operators import an_address

KEYS: dict[str, Any] = {name: IN_PRODUCTION[name] for name in ("secret_key", "encryption_keys")}
"""What an app needs for its pages."""
PASSWORD = "seven brown kettles in the rain"
MAKER = By("cli:test")
TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
LOG_IN = "/admin/login"
CHANGES_NOTHING = ("GET", "HEAD", "OPTIONS")


def an_email() -> str:
    return f"{a_key()}@example.com"


def invited(app: Flask, role: Role, email: str) -> str:
    """The path of a link to join."""
    with app.app_context():
        return f"/admin/invite/{invites.make(email=email, role=role, by=MAKER).token}"


class Desk:
    """What is sent is what a form on the page would send, unless something is said to be left
    out."""

    def __init__(self, app: Flask, *, secure: bool = False, email: str | None = None) -> None:
        self.app = app
        self.client = app.test_client()
        # Tries are counted by address, so each has its own.
        self.client.environ_base["REMOTE_ADDR"] = an_address()
        self.base = "https://localhost" if secure else "http://localhost"
        self.email = email or an_email()
        self.secret = ""

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.client.get(path, base_url=self.base, **more)

    def post(
        self, path: str, page: str | None = None, headers: Any = None, **fields: str | list[str]
    ) -> TestResponse:
        """Fills the form of `page` (or of the path itself) and sends it."""
        found = TOKEN.search(self.get(page or path).text)
        sent = {"csrf_token": found.group(1)} if found else {}
        return self.send(path, headers, **sent, **fields)

    def send(self, path: str, headers: Any = None, **fields: str | list[str]) -> TestResponse:
        """Sends these fields, and no token that is not among them."""
        referrer = {"Referer": f"{self.base}{LOG_IN}"}
        return self.client.post(
            path, data=fields, base_url=self.base, headers=referrer | (headers or {})
        )

    def join(self, role: Role = Role.VIEWER) -> Desk:
        """Comes in by a link, without a second factor."""
        link = invited(self.app, role, self.email)
        answer = self.post(link, name="Ann Example", password=PASSWORD)
        assert answer.status_code == 303, answer.text
        return self

    def log_in(self, path: str = LOG_IN, page: str | None = None, **fields: str) -> TestResponse:
        return self.post(path, page, **{"email": self.email, "password": PASSWORD, **fields})

    def set_up(self) -> list[str]:
        """A second factor, shown by the code `set_up_by`; its recovery codes."""
        page = self.get("/admin/second-factor").text
        found = re.search(r"<code>([^<]+)</code>", page)
        assert found, page
        self.secret = found.group(1).replace(" ", "")
        self.set_up_by = self.code()
        answer = self.post("/admin/second-factor", code=self.set_up_by)
        assert answer.status_code == 200, answer.text
        return [unescape(code) for code in re.findall(r"<li>([^<]+)</li>", answer.text)]

    def code(self) -> str:
        return pyotp.TOTP(self.secret).now()

    def cookie(self) -> str:
        """The id of the session."""
        name = "__Host-payments" if self.base.startswith("https") else "payments_dev"
        found = self.client.get_cookie(name)
        assert found is not None
        return found.value

    def with_cookie(self, value: str) -> Desk:
        """Another browser, with this cookie."""
        other = Desk(self.app, secure=self.base.startswith("https"), email=self.email)
        name = "__Host-payments" if self.base.startswith("https") else "payments_dev"
        other.client.set_cookie(name, value, secure=self.base.startswith("https"))
        return other

    def is_in(self) -> bool:
        return self.get("/admin/").status_code == 200


def a_code_may_come_again(desk: Desk) -> None:
    """As if the half minute of the last code were over."""
    with desk.app.app_context(), db.engine.begin() as connection:
        connection.execute(
            text("UPDATE operators SET totp_last_step = totp_last_step - 2 WHERE email = :email"),
            {"email": desk.email},
        )


def a_while_ago(desk: Desk) -> None:
    """The operator has shown who he is, but not just now."""
    with desk.app.app_context(), db.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE operator_sessions SET stepped_up_at = now() - interval '1 hour' WHERE"
                " operator_id = (SELECT operator_id FROM operators WHERE email = :email)"
            ),
            {"email": desk.email},
        )
