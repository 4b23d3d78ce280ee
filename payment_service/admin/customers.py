"""The customers: the newest, and those whom the form found."""

from __future__ import annotations

import re
from typing import Any

from flask import request, url_for
from flask_admin import expose

from payment_service.admin.admission import now
from payment_service.admin.views import Page
from payment_service.services import customers_shown

_NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


class Customers(Page):
    path = "/customers"

    @expose()
    def index(self) -> Any:
        found = request.args.get("found")
        numbers = [int(part) for part in (found or "").split(".") if _NUMBER.fullmatch(part)]
        older = request.args.get("older", "")
        before = int(older) if _NUMBER.fullmatch(older) else None
        rows = (
            customers_shown.newest(now(), before=before)
            if found is None
            else customers_shown.these(now(), numbers=numbers[: customers_shown.ROWS])
        )
        is_more = found is None and len(rows) == customers_shown.ROWS
        return self.render(
            rows=rows,
            is_search=found is not None,
            is_first=before is None,
            older=url_for("admin_customers.index", older=rows[-1].customer_id) if is_more else None,
        )
