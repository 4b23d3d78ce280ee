"""Stripe's lists, a page after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import stripe

from payment_service.providers.contract import OutcomeUnknown

AT_ONCE = 100
"""The most that a page takes."""

MOST = 20
"""Pages for one look-up: two thousand objects in the minutes that it is about."""


class Pages:
    """The lists of one account, newest first."""

    def __init__(self, v1: Any) -> None:
        self._v1 = v1

    def intents(self, asked: dict[str, Any], most: int | None = MOST) -> Iterator[dict[str, Any]]:
        """All of them, each page asked for when the one before is read. Raises OutcomeUnknown
        beyond `most` pages: what was not seen may be among the rest."""
        return _all(self._v1.payment_intents.list, asked, most)

    def refunds(self, asked: dict[str, Any], most: int | None = MOST) -> Iterator[dict[str, Any]]:
        """As `intents`."""
        return _all(self._v1.refunds.list, asked, most)

    def disputes(self, asked: dict[str, Any], most: int | None = MOST) -> Iterator[dict[str, Any]]:
        """As `intents`."""
        return _all(self._v1.disputes.list, asked, most)

    def events(self, asked: dict[str, Any], most: int | None = MOST) -> Iterator[dict[str, Any]]:
        """As `intents`."""
        return _all(self._v1.events.list, asked, most)

    def methods_of(self, customer: str) -> Iterator[dict[str, Any]]:
        """The cards of a customer."""
        asked = {"customer": customer, "type": "card"}
        return _all(self._v1.payment_methods.list, asked, MOST)


def _all(
    ask: Callable[..., stripe.ListObject[Any]], asked: dict[str, Any], most: int | None
) -> Iterator[dict[str, Any]]:
    params, pages = {**asked, "limit": AT_ONCE}, 0
    while most is None or pages < most:
        page = ask(params).to_dict()
        yield from page["data"]
        if not page["has_more"]:
            return
        params, pages = {**params, "starting_after": page["data"][-1]["id"]}, pages + 1
    raise OutcomeUnknown(f"not among the newest {MOST * AT_ONCE} of that time")
