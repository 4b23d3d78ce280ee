"""Operators in a browser who act: each in a few words. A session is begun without the work of a
log-in."""

from __future__ import annotations

import re
from html import unescape

from flask import Flask
from werkzeug.test import TestResponse

from payment_service.domain.operators import Role
from tests.desk import TOKEN, Desk
from tests.operators import Person, an_operator, begun

FIELD = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


class Seat(Desk):
    """A desk of somebody who is in."""

    def __init__(
        self, app: Flask, role: Role = Role.OPERATOR, person: Person | None = None
    ) -> None:
        self.person = person or an_operator(app, role)
        super().__init__(app, email=self.person.email)
        self.client.set_cookie("payments_dev", begun(self.person).token)

    @property
    def name(self) -> str:
        """As in rows."""
        return f"operator:{self.person.operator_id}"

    def another(self) -> Seat:
        """A second window of the same browser."""
        other = Seat(self.app, person=self.person)
        for cookie in ("payments_dev", "payments_dev_forms"):
            found = self.client.get_cookie(cookie)
            assert found is not None
            other.client.set_cookie(cookie, found.value)
        return other

    @staticmethod
    def token(page: str) -> str:
        """What makes a form of this page ours."""
        found = TOKEN.search(page)
        assert found is not None, page
        return found.group(1)

    def form(self, path: str) -> dict[str, str]:
        """The hidden fields of the act's form on this page."""
        return fields_of(self.get(path).text)

    def act(self, path: str, form: str | None = None, **more: str) -> TestResponse:
        """Opens the form, and sends it with this in it."""
        return self.send(path, **self.form(form or path), **more)


def fields_of(page: str) -> dict[str, str]:
    """The hidden fields of the form that acts, without those of the log-out."""
    _, _, main = page.partition("<main")
    return {unescape(name): unescape(value) for name, value in FIELD.findall(main)}


def told(page: TestResponse) -> str:
    """What a page says of what was done, or of what was in the way."""
    found = re.findall(r'<p class="(?:told|refused)" role="\w+">(.*?)</p>', page.text, re.DOTALL)
    return unescape(" ".join(found)).replace("\N{NO-BREAK SPACE}", " ")
