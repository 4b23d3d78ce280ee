"""The provider catalog as a page: looked at, edited by an admin, and written down."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from flask import Flask

from payment_service.domain.operators import By, NotAnAdmin, Role
from payment_service.services import catalog_edits
from payment_service.services.catalog_edits import BadOffer, Edit, OfferChanged, UnknownOffer
from tests.books import execute, row
from tests.desk import KEYS, MAKER, Desk
from tests.fixtures import MakeApp
from tests.test_admin_pages import no_script_but_ours, sign_of_a_page

PAGE = "/admin/catalog"
LAST_ACT = "SELECT * FROM audit_log ORDER BY audit_id DESC LIMIT 1"


@pytest.fixture(scope="module")
def app_of_module(make_app: MakeApp, database_of_module: str) -> Flask:
    return make_app(**KEYS, database_url=database_of_module, operator_mfa="optional")


@pytest.fixture
def pages(app_of_module: Flask) -> Flask:
    """With three lines in the catalog, and no others."""
    app = app_of_module
    execute(app, "DELETE FROM provider_offers")
    for place, name in enumerate(("First", "Second", "<b>Third</b>"), start=1):
        execute(
            app,
            "INSERT INTO provider_offers (provider_name, country_code, currency, payment_method,"
            " position) VALUES (:name, 'KW', 'KWD', 'CARD', :place)",
            name=name,
            place=place,
        )
    return app


@pytest.fixture
def admin(pages: Flask) -> Desk:
    return Desk(pages).join(Role.ADMIN)


def offer_of(app: Flask, name: str) -> dict[str, Any]:
    return row(app, "SELECT * FROM provider_offers WHERE provider_name = :name", name=name)


def path_of(app: Flask, name: str) -> str:
    return f"{PAGE}/{offer_of(app, name)['offer_id']}"


def offered(app: Flask) -> list[str]:
    """What callers are told."""
    answer = app.test_client().get("/v1/payments/providers/KW")
    return [one["providerName"] for one in answer.json if one["isActive"]]  # type: ignore[union-attr]


def sent(page: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))


def test_everybody_sees_it_and_an_admin_alone_the_way_to_edit(admin: Desk) -> None:
    viewer = Desk(admin.app).join()
    answer = viewer.get(PAGE)
    sign_of_a_page(answer)
    assert "&lt;b&gt;Third&lt;/b&gt;" in answer.text
    assert f"{PAGE}/" not in answer.text
    where = path_of(admin.app, "First")
    assert where in admin.get(PAGE).text
    assert viewer.get(where).status_code == 403
    assert viewer.post(f"{where}/edit", page=PAGE).status_code == 403


def test_an_empty_catalog_says_how_it_is_filled(admin: Desk) -> None:
    execute(admin.app, "DELETE FROM provider_offers")
    assert "The catalog is empty." in admin.get(PAGE).text


def test_an_edit_is_looked_at_and_then_done_once(admin: Desk) -> None:
    app, where = admin.app, path_of(admin.app, "First")
    assert "Change the catalog" not in admin.get(where).text
    page = admin.get(f"{where}?is_active=no&position=1")
    sign_of_a_page(page)
    assert "First, then Second, then &lt;b&gt;Third&lt;/b&gt;</dd>" in page.text
    assert "<dd>Second, then &lt;b&gt;Third&lt;/b&gt;</dd>" in page.text
    assert no_script_but_ours(page.text)
    assert offered(app)[0] == "First"
    fields = sent(page.text)
    assert admin.send(f"{where}/edit", **fields).status_code == 303
    assert offered(app) == ["Second", "<b>Third</b>"]
    act = row(app, LAST_ACT)
    assert act["act"] == "catalog_edited"
    assert act["object"] == f"offer:{offer_of(app, 'First')['offer_id']}"
    assert json.loads(act["body"]) == {
        "from": {"is_active": True, "position": 1},
        "to": {"is_active": False, "position": 1},
    }
    assert admin.send(f"{where}/edit", **fields).status_code == 303
    assert "It was so already." in admin.get(PAGE).text
    assert row(app, LAST_ACT)["audit_id"] == act["audit_id"]


def test_what_was_changed_meanwhile_is_not_changed_over(admin: Desk) -> None:
    app, where = admin.app, path_of(admin.app, "First")
    fields = sent(admin.get(f"{where}?is_active=no&position=1").text)
    execute(app, "UPDATE provider_offers SET position = 9 WHERE provider_name = 'First'")
    answer = admin.send(f"{where}/edit", **fields)
    assert answer.status_code == 409
    assert "Somebody else changed this line" in answer.text
    assert offer_of(app, "First")["is_active"]


def test_who_is_left_alone_is_warned_of(admin: Desk) -> None:
    execute(admin.app, "DELETE FROM provider_offers WHERE provider_name <> 'First'")
    page = admin.get(f"{path_of(admin.app, 'First')}?is_active=no&position=1").text
    assert "Nobody is left" in page
    assert "<dd>nobody</dd>" in page


@pytest.mark.parametrize("position", ["", "-1", "x", "10001", "9" * 20, "%C2%B2"])
def test_a_place_that_is_none_is_told(admin: Desk, position: str) -> None:
    where = path_of(admin.app, "First")
    assert admin.get(f"{where}?is_active=yes&position={position}").status_code == 422
    assert admin.post(f"{where}/edit", page=PAGE, position="x").status_code == 409


def test_no_line_is_there(admin: Desk) -> None:
    assert admin.get(f"{PAGE}/999999999").status_code == 404


@pytest.mark.parametrize(
    ("by", "offer", "position", "refused"),
    [
        (By("operator:7", 7, Role.APPROVER, 70), "First", 5, NotAnAdmin),
        (MAKER, "First", 10_001, BadOffer),
        (MAKER, "First", -1, BadOffer),
        (MAKER, "none", 5, UnknownOffer),
        (MAKER, "Second", 5, OfferChanged),
    ],
)
def test_the_service_refuses(
    pages: Flask, by: By, offer: str, position: int, refused: type[Exception]
) -> None:
    offer_id = 999999999 if offer == "none" else offer_of(pages, offer)["offer_id"]
    with pages.app_context(), pytest.raises(refused):
        catalog_edits.edit(offer_id=offer_id, edit=Edit(True, position), was=Edit(True, 1), by=by)
