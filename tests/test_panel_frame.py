"""The panel's frame: what we lean on of Flask-Admin and what is kept out of it, and what no page
has: a style or a script of its own, or colours that can't be read."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, g
from flask_admin import expose

from payment_service.admin import LINKS, READING, admission
from payment_service.admin.shown import amount_in, since
from payment_service.admin.views import Page
from payment_service.config import ByCurrency
from payment_service.domain.operators import Numbers, Reach, Role
from tests.books import a_pending_payment
from tests.desk import KEYS, Desk
from tests.fixtures import MakeApp

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = sorted((ROOT / "templates" / "admin").glob("*.html"))
CSS = ROOT / "static" / "admin" / "panel.css"
SCRIPT = ROOT / "static" / "admin" / "panel.js"


@pytest.fixture(scope="module")
def pages(make_app: MakeApp) -> Flask:
    return make_app(**KEYS, operator_mfa="optional")


# Flask-Admin


def test_nothing_of_flask_admin_s_files_is_served(pages: Flask) -> None:
    desk = Desk(pages).join()
    for root in ("/static/admin", "/admin/static", "/admin/static/admin", "/admin/desk/static"):
        for file in ("admin/css/bootstrap4/admin.css", "bootstrap/bootstrap4/js/bootstrap.min.js"):
            assert desk.get(f"{root}/{file}").status_code == 404
    served = {rule.endpoint for rule in pages.url_map.iter_rules() if "static" in rule.endpoint}
    assert served == {"static"}


def test_none_of_its_templates_is_found(pages: Flask) -> None:
    ours = {path.name for path in TEMPLATES}
    found = {name for name in pages.jinja_env.list_templates() if name.startswith("admin/")}
    assert {name.removeprefix("admin/") for name in found} == ours


class Broken(Page):
    path = "/broken"
    calls = 0

    @expose()
    def index(self, **kwargs: Any) -> str:
        type(self).calls += 1
        raise TypeError("once")


def test_a_page_is_called_once_whatever_it_raises(make_app: MakeApp) -> None:
    app = make_app(**KEYS)
    page = Broken("Broken", Role.VIEWER)
    with app.test_request_context(), pytest.raises(TypeError, match="once"):
        g.operator = _somebody(Role.VIEWER)
        page.index()
    assert Broken.calls == 1


def _somebody(role: Role) -> Any:
    return SimpleNamespace(reach=Reach.ALL, role=role)


def test_flask_admin_s_own_door_holds_alone(pages: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the hook of the blueprint lets all in, is_accessible says no."""
    desk = Desk(pages).join()
    for page in pages.extensions["admin"][0].menu():
        monkeypatch.setattr(page._view, "role", Role.ADMIN)
    for _, page, _ in READING:
        path = re.sub("<[^>]*>", "999999999", f"/admin{page.path}")
        assert desk.get(path if page.path else "/admin/").status_code == 403, path


def test_the_menu_names_what_the_role_may_see(pages: Flask) -> None:
    for role in Role:
        shown = re.findall(
            r'<nav class="pages".*?</nav>', Desk(pages).join(role).get("/admin/").text, re.S
        )
        words = re.findall(r"<a[^>]*>([^<]*)</a>", shown[0])
        rank = list(Role).index
        lines = [(word, least) for word, _, least in READING]
        lines += [(word, least) for word, _, least in LINKS]
        assert words == [word for word, least in lines if word and rank(least) <= rank(role)]


def test_the_menu_marks_where_one_is(pages: Flask) -> None:
    desk = Desk(pages).join()
    marked = 'aria-current="{}">{}</a>'
    assert marked.format("page", "Desk") in desk.get("/admin/").text
    assert marked.format("page", "Payments") in desk.get("/admin/payments").text
    assert marked.format("true", "Payments") in desk.get("/admin/payments/999999999").text
    assert marked.format("page", "My account") in desk.get("/admin/me").text


def test_the_box_that_finds_is_there_with_its_page(pages: Flask) -> None:
    has = "admin_find.index" in pages.view_functions
    assert ('role="search"' in Desk(pages).join().get("/admin/").text) is has


def test_who_was_not_admitted_may_see_nothing(pages: Flask) -> None:
    with pages.test_request_context("/admin/"):
        assert not admission.may_see(Role.VIEWER)


# No style, no script, colours, sizes

INLINE = re.compile(r"\sstyle\s*=|<style|<script(?! src=)|\son[a-z]+\s*=|javascript:", re.I)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_no_style_or_script_of_its_own(path: Path) -> None:
    assert INLINE.search(path.read_text()) is None


@pytest.mark.parametrize(
    "text",
    [
        '<p style="color:red">',
        "<style>",
        "<script>",
        '<a onclick="x()">',
        "<a href='javascript:x'>",
    ],
)
def test_a_style_or_script_in_a_template_is_found(text: str) -> None:
    assert INLINE.search(text)


def test_style_and_script_stay_small() -> None:
    assert CSS.stat().st_size <= 25 * 1024
    assert SCRIPT.stat().st_size <= 12 * 1024


def colours(theme: int) -> dict[str, str]:
    """The variables of panel.css; 0 is light, 1 is dark."""
    found = re.findall(r"--(\w+): light-dark\((#\w+), (#\w+)\);", CSS.read_text())
    return {name: shades[theme] for name, *shades in found}


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_computed_as_wcag_does() -> None:
    assert contrast("#000", "#fff") == 21
    assert round(contrast("#767676", "#ffffff"), 2) == 4.54


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_colour_of_text_can_be_read(theme: int) -> None:
    shades = colours(theme)
    assert {"ink", "soft", "accent", "ok", "warn", "bad", "ground", "sunk"} <= shades.keys()
    for name in ("ink", "soft", "accent", "ok", "warn", "bad"):
        for ground in ("ground", "sunk"):
            assert contrast(shades[name], shades[ground]) >= 4.5, (name, ground)
    assert contrast(shades["edge"], shades["ground"]) >= 3  # what bounds a field


def test_colours_are_variables_only() -> None:
    rest = re.sub(r":root \{.*?\}", "", CSS.read_text(), count=1, flags=re.S)
    assert set(re.findall(r"#[0-9a-fA-F]{3,8}\b", rest)) == {"#fff"}  # a QR code's ground


# Macros


def drawn(app: Flask, text: str, **values: Any) -> str:
    macros = "acts, bars, copied, empty, pager, status"
    head = f'{{% from "admin/_parts.html" import {macros} with context %}}'
    with app.test_request_context("/admin/"):
        return app.jinja_env.from_string(head + text).render(operator=None, **values)


def test_bars_have_a_title_each_and_the_same_figures_as_a_table(pages: Flask) -> None:
    points = [{"label": f"{hour}:00", "value": hour, "shown": f"{hour} paid"} for hour in range(3)]
    page = drawn(pages, "{{ bars('By hour', points) }}", points=points)
    assert re.findall(r"<title>([^<]*)</title>", page) == [
        "0:00: 0 paid",
        "1:00: 1 paid",
        "2:00: 2 paid",
    ]
    assert re.findall(r'<td class="number">([^<]*)</td>', page) == ["0 paid", "1 paid", "2 paid"]
    assert 'height="58.0"' in page
    assert "No figures yet" in drawn(pages, "{{ bars('By hour', []) }}")
    assert "height" in drawn(
        pages, "{{ bars('None', points) }}", points=[{"label": "a", "value": 0}]
    )


def test_macros_take_hostile_text_as_text(pages: Flask) -> None:
    bad = '"><img src=x onerror=y><script>{{7*7}}'
    page = drawn(
        pages,
        "{{ bars(bad, [{'label': bad, 'value': 1}]) }}{{ status(bad) }}{{ copied(bad, bad) }}"
        "{{ acts([{'name': bad, 'url': bad, 'why': bad}, {'name': bad, 'url': bad}]) }}"
        "{{ pager(bad, bad) }}{% call empty(bad) %}{% endcall %}",
        bad=bad,
    )
    assert "<img" not in page
    assert "<script" not in page
    assert "49" not in page


@pytest.mark.parametrize(
    ("away", "words"),
    [
        (0, "now"),
        (-59, "59 s ago"),
        (-200, "3 min ago"),
        (3600, "in 1 hour"),
        (-90_000, "1 day ago"),
        (86_400 * 800, "in 2 years"),
    ],
)
def test_ages(away: int, words: str) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert since(now + timedelta(seconds=away), now=now) == words


def test_amounts_are_written_as_the_operator_chose(make_app: MakeApp) -> None:
    high = ByCurrency(Decimal(10_000_000), {})
    app = make_app(**KEYS, operator_mfa="optional", max_amount=high)
    desk = Desk(app).join()
    made = a_pending_payment(app.test_client(), amount="1234567.89")
    payment, me = f"/admin/payments/{made['payment_id']}", "/admin/me"
    choices = dict(re.findall(r'value="(\w+)">([^<]+)</option>', desk.get(me).text))
    for numbers in Numbers:
        sent = {"timezone": "UTC", "theme": "auto", "numbers": numbers}
        assert desk.post("/admin/me/preferences", page=me, **sent).status_code == 303
        wanted = "12,34,567.89" if numbers is Numbers.RECEIPT else choices[numbers]
        told = re.sub(r"[\u00a0\u202f]", " ", desk.get(payment).text)
        assert f"{wanted} INR" in told


def test_amounts_have_their_currency_s_decimals(app: Flask) -> None:
    with app.app_context():
        shown = [
            amount_in(*one).replace("\N{NO-BREAK SPACE}", " ")
            for one in ((10486, "INR"), (12345678900, "INR"), (500, "JPY"), (5, "KWD"), (0, "INR"))
        ]
    assert shown == ["104.86 INR", "12,34,56,789.00 INR", "500 JPY", "0.005 KWD", "0.00 INR"]
