"""Saved views: an operator's own, those that others share, and the built-in."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from payment_service.domain.operators import Role
from payment_service.domain.pages import NotAllowed
from payment_service.domain.payment_filters import FILTERS, LABELS
from payment_service.domain.saved_views import (
    BUILT_IN,
    MOST,
    BadView,
    NameTaken,
    TooManyViews,
    UnknownView,
    checked_query,
)
from payment_service.services import saved_views
from payment_service.services.sessions import Current
from tests.books import at_once, rows
from tests.fixtures import a_key
from tests.operators import a_session, an_operator
from tests.operators import app as app  # with operators of its own

FAILED = {"status": "FAILED"}


@pytest.fixture
def now(app: Flask) -> Current:
    return a_session(an_operator(app))


def do(app: Flask, verb: str, now: Current, **values: Any) -> Any:
    with app.app_context():
        return getattr(saved_views, verb)(now, **values)


def mine(app: Flask, now: Current) -> dict[str, Any]:
    return {view.name: dict(view.query) for view in do(app, "listed", now).mine}


def others(app: Flask, now: Current) -> set[int]:
    return {view.view_id for view in do(app, "listed", now).shared}


def test_a_view_is_kept_renamed_and_deleted(app: Flask, now: Current) -> None:
    query = {"status": "completed", "method": "cod", "provider": "", "amount_from": "50.5"}
    view = do(app, "save", now, name="  Cash   done ", query=query)
    kept = {"status": "SUCCESS", "method": "CASH", "amount_from": "50.5"}
    assert mine(app, now) == {"Cash done": kept}
    do(app, "rename", now, view_id=view, name="Done")
    assert mine(app, now) == {"Done": kept}
    do(app, "delete", now, view_id=view)
    assert mine(app, now) == {}


def test_the_built_in_ones_are_there_and_are_filters(app: Flask, now: Current) -> None:
    assert do(app, "listed", now).built_in == BUILT_IN
    names = ["Stuck now", "Failed today", "Refunded this week", "Cash to collect", "Over 5000"]
    assert [view.name for view in BUILT_IN] == names
    for view in BUILT_IN:
        assert checked_query(view.query) == view.query


def test_others_see_what_is_shared_until_it_is_taken_back(app: Flask, now: Current) -> None:
    other = a_session(an_operator(app, Role.VIEWER))
    view = do(app, "save", now, name=a_key(), query=FAILED)
    assert view not in others(app, other)
    do(app, "share", now, view_id=view, shared=True)
    assert view in others(app, other)
    assert view not in others(app, now), "it is mine"
    do(app, "share", now, view_id=view, shared=False)
    assert view not in others(app, other)


def test_nobody_changes_anothers_view(app: Flask, now: Current) -> None:
    view = do(app, "save", now, name="Mine", query=FAILED)
    do(app, "share", now, view_id=view, shared=True)
    admin = a_session(an_operator(app, Role.ADMIN))
    for verb, values in (
        ("rename", {"name": "Yours"}),
        ("share", {"shared": False}),
        ("delete", {}),
    ):
        with pytest.raises(UnknownView):
            do(app, verb, admin, view_id=view, **values)
    assert mine(app, now) == {"Mine": FAILED}
    assert view in others(app, admin)


def test_viewers_keep_views_and_share_none(app: Flask) -> None:
    viewer = a_session(an_operator(app, Role.VIEWER))
    view = do(app, "save", viewer, name="Mine", query=FAILED)
    with pytest.raises(NotAllowed) as refused:
        do(app, "share", viewer, view_id=view, shared=True)
    assert refused.value.wanted == Role.OPERATOR
    do(app, "share", viewer, view_id=view, shared=False)


def test_a_name_is_taken_once_by_each(app: Flask, now: Current) -> None:
    first = do(app, "save", now, name="Mine", query=FAILED)
    assert do(app, "save", now, name="Mine ", query=FAILED) == first  # it is that one
    second = do(app, "save", now, name="Other", query=FAILED)
    with pytest.raises(NameTaken):
        do(app, "save", now, name=" Mine", query={**FAILED, "method": "CARD"})
    with pytest.raises(NameTaken):
        do(app, "rename", now, view_id=second, name="Mine")
    do(app, "rename", now, view_id=second, name="Other")
    do(app, "save", a_session(an_operator(app)), name="Mine", query=FAILED)


def test_fifty_and_no_more(app: Flask, now: Current) -> None:
    for number in range(MOST - 1):
        do(app, "save", now, name=f"View {number}", query=FAILED)

    def one_more() -> bool:
        try:
            do(app, "save", now, name=a_key(), query=FAILED)
        except TooManyViews:
            return False
        return True

    assert sorted(at_once([one_more] * 4)) == [False, False, False, True]
    found = rows(app, "SELECT 1 FROM saved_views WHERE operator_id = :id", id=now.operator_id)
    assert len(found) == MOST


@pytest.mark.parametrize("name", ["", " ", "x" * 61, "a\0b", "\ud800", "a\u202eb"])
def test_what_can_not_be_a_name_is_refused(app: Flask, now: Current, name: str) -> None:
    with pytest.raises(BadView):
        do(app, "save", now, name=name, query=FAILED)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"status": ""},
        {"sort": "amount"},
        {"status = '' OR": "1"},
        {"status": "DONE"},
        {"currency": "XXX"},
        {"amount_from": "-1"},
        {"amount_from": "1e5"},
        {"created_from": "soon"},
        {"within": "ever"},
        {"stuck": "no"},
        {"trip_id": "0"},
        {"trip_id": str(2**63)},
        {"trip_id": "٣"},
        {"reason": "a b"},
        {"provider": "x\0"},
    ],
)
def test_what_is_no_filter_is_refused(app: Flask, now: Current, query: dict[str, str]) -> None:
    with pytest.raises(BadView):
        do(app, "save", now, name="Bad", query=query)
    assert mine(app, now) == {}


def test_every_filter_has_its_words() -> None:
    assert set(LABELS) == set(FILTERS)


def test_no_value_of_a_filter_is_an_error() -> None:
    for name in FILTERS:
        for value in ("\0", "\ud800", "x" * 5000, "9" * 5000, "٣", "{{7*7}}", "²"):
            with pytest.raises(BadView):
                checked_query({name: value})
