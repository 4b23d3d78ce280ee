"""What a payer is led by: what the caller said of the payer, and the page, code or secret that the
provider gave. Both are kept encrypted, and told to nobody but those who charge, read the one
payment, or have its link.

What a provider gives is `{"type": "redirect" | "app" | "sdk", "url"?, "form"?, "expires_at"?,
"token"?, "qr"?, "client_secret"?, "publishable_key"?}`. Only its type and its end are in the
payment's row, and so in lists and events.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import structlog
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from payment_service.domain import jsontext
from payment_service.domain.events import iso
from payment_service.domain.payers import Said
from payment_service.extensions import db
from payment_service.models import Payer
from payment_service.models.columns import Encrypted, Sealed, Secret
from payment_service.models.keyring import NoKey, NotGenuine
from payment_service.services.moves import links
from payment_service.services.moves.rows import PaymentRow

log = structlog.get_logger(__name__)

PAYER = Payer.__table__

Page = Mapping[str, Any]

_PUBLIC = ("type", "expires_at")
_TOLD = (*_PUBLIC, "url", "token", "qr", "client_secret", "publishable_key")
_SAID = cast(Encrypted, PAYER.c.said.type)
_PAGE = cast(Encrypted, PAYER.c.page.type)


@dataclass(frozen=True)
class Kept:
    """What is kept of a payment's payer; nothing of most payments."""

    said: Said = field(default_factory=Said)
    page: Page | None = field(default=None, repr=False)


def public_part(page: Page) -> dict[str, object]:
    """What of it may stand in the payment's row."""
    return {name: page[name] for name in _PUBLIC if name in page}


def sealed_said(said: Said, reference: str) -> bytes:
    """As `payers.said` keeps it for the payment of that reference. Raises NoKey."""
    return _SAID.seal(Secret(reference, jsontext.dumps(said.as_json())))


def sealed_page(page: Page, reference: str) -> bytes | None:
    """As `payers.page` keeps it; None without any key. The outcome that came with it must be kept
    all the same: the payment then waits until its time is over."""
    try:
        return _PAGE.seal(Secret(reference, jsontext.dumps(page)))
    except NoKey:
        log.error("payer_page_not_kept", reference=reference, why="ENCRYPTION_KEYS is not set")
        return None


def write_said(connection: Connection, *, payment_id: int, reference: str, said: Said) -> None:
    """Keeps it of a payment that is there already, in place of what was kept. Raises NoKey."""
    kept = {"said": Secret(reference, jsontext.dumps(said.as_json()))}
    row = insert(PAYER).values(payment_id=payment_id, reference=reference, **kept)
    anew = {"said": row.excluded.said}
    connection.execute(row.on_conflict_do_update(index_elements=["payment_id"], set_=anew))


def read(connection: Connection, payment_id: int) -> Kept:
    """What is kept of the payment's payer. What no key opens any more is as if it were not there:
    the payment can still be looked up without it."""
    query = select(PAYER.c.reference, PAYER.c.said, PAYER.c.page)
    row = connection.execute(query.where(PAYER.c.payment_id == payment_id)).one_or_none()
    if row is None:
        return Kept()
    said, page = _opened(row.said, row.reference), _opened(row.page, row.reference)
    return Kept(Said.of(said) if said else Said(), page)


def page_of(payment: Mapping[str, Any], connection: Connection | None = None) -> Page | None:
    """What the provider gave for the payer; None if the payment waits for none, which is seen in
    its row."""
    if payment["next_action"] is None:
        return None
    if connection is not None:
        return read(connection, payment["payment_id"]).page
    with db.engine.connect() as own:
        return read(own, payment["payment_id"]).page


def _opened(kept: Sealed | None, reference: str) -> Page | None:
    if kept is None:
        return None
    try:
        opened: Page = json.loads(kept.opened(reference))
    except (NoKey, NotGenuine) as error:
        log.error("payer_not_readable", reference=reference, place=kept.place, why=str(error))
        return None
    return opened


def told(payment: PaymentRow | Mapping[str, Any], page: Page | None) -> Page | None:
    """The next_action of the payment as who may see all of it is told. Where the payer is sent to a
    page, its url is ours."""
    if payment["next_action"] is None:
        return None
    whole = {**payment["next_action"], **(page or {})}
    if whole.get("type") == "redirect" and (link := links.of_payment(payment["payment_id"])):
        whole["url"] = link
    elif "form" in whole:
        whole.pop("url", None)  # by itself it leads nowhere
    if end := _first_end(whole.get("expires_at"), payment["expires_at"]):
        whole["expires_at"] = end
    return {name: whole[name] for name in _TOLD if name in whole}


def _first_end(providers: object, ours: datetime | None) -> str | None:
    """When the payer's time is over: the provider's page, or our own wait."""
    ends = [moment for moment in (ours, _moment(providers)) if moment]
    return iso(min(ends).astimezone(UTC)) if ends else None


def _moment(said: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(said))
    except ValueError:
        return None
    return found if found.tzinfo else None
