"""Notes of operators on a payment's page: the list, and the form that adds one."""

from __future__ import annotations

import re
import secrets
from typing import Any

from flask import abort, render_template, request, url_for

from payment_service.admin.admission import may_see, now
from payment_service.admin.redirects import see
from payment_service.domain.errors import PaymentNotFound
from payment_service.domain.notes import LONGEST, BadNote
from payment_service.domain.pages import MAY, Deed
from payment_service.services import notes

_OURS = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)


def of(payment_id: int) -> dict[str, Any]:
    """What _notes.html is made of. The key is that of the form as it is drawn now: sent twice, it
    writes once."""
    return {
        "notes": notes.listed(now(), payment_id=payment_id),
        "may_note": may_see(MAY[Deed.NOTE]),
        "note_key": secrets.token_urlsafe(18),
        "longest_note": LONGEST,
    }


def add_note(payment_id: int) -> Any:
    text, key = request.form.get("text", ""), request.form.get("form_key", "")
    if not _OURS.fullmatch(key):
        abort(400, "This form is not one of ours. Nothing was written.")
    try:
        notes.add(now(), payment_id=payment_id, text=text, form_key=key)
    except PaymentNotFound as error:
        abort(404, str(error))
    except BadNote as error:
        return _again(payment_id, text, key, str(error)), 422
    return see(url_for("admin_payment.index", payment_id=payment_id, _anchor="notes"))


def _again(payment_id: int, text: str, key: str, said: str) -> str:
    """The form alone, with what was written."""
    return render_template(
        "admin/note.html",
        payment_id=payment_id,
        written=text[: 2 * LONGEST],
        note_key=key,
        longest_note=LONGEST,
        said=said,
    )
