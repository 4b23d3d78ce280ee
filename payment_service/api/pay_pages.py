"""The payer's pages as HTML, in the payer's language, for a phone first.

Each is one document: its style, and the one script, are in it, by their hashes in its policy. So it
looks right below whatever path the service is reached by, and is there at once.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from flask import Response, make_response, render_template, request

from payment_service.domain.payers import Stand
from payment_service.problems import CSP
from payment_service.services.payers import Visit

FOLDER = Path(__file__).resolve().parents[2] / "templates" / "pay"

ENGLISH = "en"
"""What is told where no other language will do."""

SUBMIT = "document.forms[0].submit()"
"""All of our script: the form sends itself. Where there are none its button does."""

LEAD_SECONDS = 4
"""For so long a payer reads how it went before being led on; the button leads on at once."""
LOOK_SECONDS = 2

Words = Mapping[str, str]


@cache
def catalogs() -> dict[str, Words]:
    """What the pages say, by language: one file for each in templates/pay/words."""
    files = sorted((FOLDER / "words").glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


@cache
def _style() -> str:
    return (FOLDER / "pay.css").read_text(encoding="utf-8")


def source_of(text: str) -> str:
    """The text, as a policy names it."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def policy(form_to: str | None = None) -> str:
    """No script, no frame, nothing from elsewhere; with `form_to`, an origin, one form that may go
    there, and the script that sends it. Browsers hold a form's answer to it too, and a page that
    has nothing left to ask leads back to us at once."""
    script = f"script-src {source_of(SUBMIT)}; " if form_to else ""
    forms = f"{form_to} 'self'" if form_to else "'none'"
    return (
        f"default-src 'none'; style-src {source_of(_style())}; img-src data:; {script}"
        f"form-action {forms}; frame-ancestors 'none'; base-uri 'none'"
    )


def stand(visit: Visit, *, again: str | None = None, returned: bool = False) -> Response:
    """How the payment stands. A payer who came back from the provider's page waits here for it,
    while the page asks `again` by itself, and is led on then."""
    if visit.stand is not Stand.WAITING:
        on = (LEAD_SECONDS, visit.way_on) if returned and visit.way_on else None
        return _page("stand.html", visit.stand, visit=visit, refresh=on, way_on=visit.way_on)
    if again:
        return _page("stand.html", visit.stand, visit=visit, refresh=(LOOK_SECONDS, again))
    # Not for long, or not at all: what stands so far is told, and who wants to go on may.
    key = "too_long" if returned else "elsewhere"
    return _page("stand.html", key, visit=visit, look=returned, way_on=visit.way_on)


def elsewhere(visit: Visit, back: str) -> Response:
    """The payment is decided in an app: its link, and its code as a picture, if it has them; and
    the way `back` to how it stands."""
    page = visit.page or {}
    code = str(page.get("qr", ""))
    shown = code if code.startswith("data:image/") else None
    return _page("app.html", "app", visit=visit, link=page.get("url"), code=shown, back=back)


def posting(visit: Visit, origin: str) -> Response:
    """A form that sends itself to the provider's page."""
    page = visit.page or {}
    made = _page("posting.html", "posting", visit=visit, page=page, submit=SUBMIT)
    made.headers[CSP] = policy(origin)
    return made


def error(status: int) -> Response:
    """An error, for somebody who can do nothing about it but try again."""
    told = {404: "not_found", 429: "too_many"}.get(status, "failed")
    made = _page("error.html", told)
    made.status_code = status
    return made


def _page(template: str, key: str, **shown: Any) -> Response:
    """The template with the `key`'s title and text in the payer's language."""
    language = request.accept_languages.best_match(list(catalogs()), ENGLISH) or ENGLISH
    words = catalogs()[language]
    made = make_response(
        render_template(
            f"pay/{template}",
            language=language,
            direction=words["direction"],
            words=words,
            title=words[f"{key}_title"],
            text=words[f"{key}_text"],
            key=key,
            style=_style(),
            **shown,
        )
    )
    made.headers[CSP] = policy()
    made.headers["Content-Language"] = language
    return made
