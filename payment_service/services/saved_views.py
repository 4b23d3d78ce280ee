"""Views of the list of payments: an operator's own, those that others share, and the built-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, insert, or_, select, update
from sqlalchemy import delete as delete_from

from payment_service.domain import saved_views
from payment_service.domain.pages import Deed
from payment_service.domain.saved_views import (
    BUILT_IN,
    MOST,
    BuiltIn,
    NameTaken,
    TooManyViews,
    UnknownView,
)
from payment_service.extensions import db
from payment_service.models import Operator, SavedView
from payment_service.services import rights
from payment_service.services.sessions import Current

VIEW = SavedView.__table__
OPERATOR = Operator.__table__

SHARED_SHOWN = 150
"""Views of others in one menu, by name."""


@dataclass(frozen=True)
class View:
    """A view that was saved. `query` maps names of filters to values."""

    view_id: int
    operator_id: int
    operator_name: str
    name: str
    query: Mapping[str, str]
    shared: bool


@dataclass(frozen=True)
class Views:
    """All that an operator can choose from, each part by name but for the built-in."""

    built_in: tuple[BuiltIn, ...]
    mine: tuple[View, ...]
    shared: tuple[View, ...]


def listed(now: Current) -> Views:
    """What the operator has, and what others share. Raises NotAllowed, OutOfReach."""
    rights.expect(now, Deed.KEEP_VIEWS)
    own = VIEW.c.operator_id == now.operator_id
    query = (
        select(
            *(VIEW.c[name] for name in ("view_id", "operator_id", "name", "query", "shared")),
            OPERATOR.c.name.label("operator_name"),
        )
        .select_from(VIEW.join(OPERATOR))
        .where(or_(own, VIEW.c.shared))
        .order_by(own.desc(), VIEW.c.name, VIEW.c.view_id)
        .limit(MOST + SHARED_SHOWN)
    )
    with db.engine.connect() as connection:
        found = [View(**row) for row in connection.execute(query).mappings()]
    mine = tuple(view for view in found if view.operator_id == now.operator_id)
    others = tuple(view for view in found if view.operator_id != now.operator_id)
    return Views(BUILT_IN, mine, others)


def save(now: Current, *, name: str, query: Mapping[str, str]) -> int:
    """Keeps the filters under a name, for the operator alone; gives the view's number, which is
    that of the first time where both are kept already. Raises BadView, NameTaken, TooManyViews,
    NotAllowed, OutOfReach. Commits."""
    rights.expect(now, Deed.KEEP_VIEWS)
    plain, kept = saved_views.checked_name(name), saved_views.checked_query(query)
    with db.session.begin():
        _hold(now)
        if (same := _of_name(now, plain)) is not None:
            if same.query == kept:
                return int(same.view_id)
            raise _taken()
        own = select(func.count()).where(VIEW.c.operator_id == now.operator_id)
        if db.session.execute(own).scalar_one() >= MOST:
            raise TooManyViews(f"You have {MOST} views, which is as many as one may have.")
        values = {"operator_id": now.operator_id, "name": plain, "query": kept}
        adding = insert(VIEW).values(values).returning(VIEW.c.view_id)
        return int(db.session.execute(adding).scalar_one())


def rename(now: Current, *, view_id: int, name: str) -> None:
    """Raises BadView, NameTaken, UnknownView, NotAllowed, OutOfReach. Commits."""
    rights.expect(now, Deed.KEEP_VIEWS)
    plain = saved_views.checked_name(name)
    with db.session.begin():
        _hold(now)
        if (same := _of_name(now, plain)) is not None and same.view_id != view_id:
            raise _taken()
        _expect_one(update(VIEW).where(*_own(now, view_id)).values(name=plain))


def share(now: Current, *, view_id: int, shared: bool) -> None:
    """All see it, or its operator alone does again. Raises UnknownView, NotAllowed, OutOfReach.
    Commits."""
    # Whose role was lowered may still take back what he shared.
    rights.expect(now, Deed.SHARE_VIEW if shared else Deed.KEEP_VIEWS)
    with db.session.begin():
        _expect_one(update(VIEW).where(*_own(now, view_id)).values(shared=shared))


def delete(now: Current, *, view_id: int) -> None:
    """Raises UnknownView, NotAllowed, OutOfReach. Commits."""
    rights.expect(now, Deed.KEEP_VIEWS)
    with db.session.begin():
        _expect_one(delete_from(VIEW).where(*_own(now, view_id)))


def _own(now: Current, view_id: int) -> tuple[Any, ...]:
    """Another's view is not there, whatever the role."""
    return VIEW.c.view_id == view_id, VIEW.c.operator_id == now.operator_id


def _hold(now: Current) -> None:
    """Until the transaction ends nobody else adds to the operator's views, or names one."""
    own = select(OPERATOR.c.operator_id).where(OPERATOR.c.operator_id == now.operator_id)
    db.session.execute(own.with_for_update(key_share=True))


def _of_name(now: Current, name: str) -> Row[Any] | None:
    same = select(VIEW).where(VIEW.c.operator_id == now.operator_id, VIEW.c.name == name)
    return db.session.execute(same).one_or_none()


def _taken() -> NameTaken:
    return NameTaken("You have a view of this name already.")


def _expect_one(change: Any) -> None:
    result: Any = db.session.execute(change)
    if result.rowcount != 1:
        raise UnknownView("You have no such view.")
