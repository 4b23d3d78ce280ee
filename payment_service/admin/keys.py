"""Looks up an idempotency key. Nothing can be changed here."""

from __future__ import annotations

import math
from typing import Any

from flask import request
from flask_admin import expose

from payment_service.admin.views import Page
from payment_service.config import settings
from payment_service.services import kept_keys

LONGEST = 255


class Keys(Page):
    path = "/keys"

    @expose()
    def index(self) -> Any:
        asked = request.args.get("key", "").strip()
        is_one = len(asked) <= LONGEST and all("!" <= char <= "~" for char in asked)
        found = kept_keys.look_up(asked) if asked and is_one else []
        hours = math.ceil(settings().idempotency_key_ttl / 3600)
        page = self.render(asked=asked[:LONGEST], is_one=is_one, found=found, hours=hours)
        return page, 200 if is_one else 422
