"""How many requests a caller may send: each is counted once, by the narrowest limit that is for it.

A charge and a refund by RATE_LIMIT_CHARGE and RATE_LIMIT_REFUND, where these are set; any other by
its caller's own limit; and by its address where no good token was shown, or none is asked for. So
who asks is found out first, and a guessed token counts as well. A provider's webhook is counted
only if it is not signed: one that is refused by RATE_LIMIT_WEBHOOK_REFUSALS.
"""

from __future__ import annotations

import math

from flask import Flask, Response, current_app, g, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from werkzeug.datastructures import Headers

from payment_service import idempotency
from payment_service.addresses import counted_as
from payment_service.api.auth import CHANGE_NOTHING, caller
from payment_service.config import Settings
from payment_service.domain.errors import DomainError, TooManyRequests
from payment_service.idempotency import Key
from payment_service.identity.claims import Bearer
from payment_service.ratelimit import Counter, Hit
from payment_service.ratelimit.windows import Limit, Standing

PROBES = "health"
"""The blueprint of those who watch: they are not counted, and never refused."""

DEAR = ("admin", "pay", "receipts")
"""The blueprints of which a read, too, begins only once there is room for it."""

CHARGES = ("payments.charge", "payments.charge_pending")
REFUNDS = ("refunds.refund", "refunds.create")
"""The endpoints that a limit of their own may be for. All of them take a key."""

WEBHOOKS = "webhook_door.receive"
"""The endpoint of those who have no token, and prove by each request who they are."""


def guard(app: Flask) -> None:
    """Has each request of the app counted, once it was found out who asks."""
    if found := app.extensions.get("settings"):
        OneOfSeveral(found).init_app(app)


def expect_room_for(key: Key) -> None:
    """Counts a request with a limit of its own: to be called by what moves money under that key,
    before it does. One whose key was used before asks nobody for money again, and counts as its
    caller's other requests do.

    Raises TooManyRequests, and what idempotency.find raises.
    """
    limits: OneOfSeveral | None = current_app.extensions.get("limits")
    if limits is None or "hit" in g:
        return
    own = limits.of_endpoints.get(request.endpoint or "")
    if own is None or idempotency.find(key) is not None:
        limits.count()
    else:
        g.hit = limits.counter.hit(own, caller().name)
    _expect_room()


def count_webhook(*, signed: bool) -> None:
    """Counts one by its address, unless it is `signed`: however much a provider has to tell at
    once, it is heard, also where others send from its address. Raises TooManyRequests."""
    limits: OneOfSeveral | None = current_app.extensions.get("limits")
    if signed:
        g.uncounted = True
    elif limits is not None:
        limits.count()
        _expect_room()


def count_refused_webhook() -> None:
    """One that was not believed. Raises TooManyRequests where its address sent too many: then
    nothing more is done about it."""
    limits: OneOfSeveral | None = current_app.extensions.get("limits")
    if limits is not None:
        who = counted_as(get_remote_address())
        g.hit = limits.counter.hit_unless_full(limits.refused_webhooks, who)
        _expect_room()


class OneOfSeveral(Limiter):
    """Flask-Limiter, whose settings, switch and storage these are. By itself it gathers limits anew
    for each request, which takes an eighth of a charge's time in Python, asks Redis again for the
    headers, and counts all by one strategy; here the one limit is counted directly."""

    counter: Counter

    def __init__(self, settings: Settings) -> None:
        super().__init__(key_func=get_remote_address)
        self.address = Limit("address", "requests of one address", settings.rate_limit)
        self.rider = Limit("rider", "requests of one rider", settings.rate_limit_default)
        self.service = Limit("service", "requests of one caller", settings.rate_limit_service)
        self.refused_webhooks = Limit(
            "webhook", "refused webhooks of one address", settings.rate_limit_webhook_refusals
        )
        self.of_endpoints: dict[str, Limit] = {}
        for endpoints, name, text in (
            (CHARGES, "charge", settings.rate_limit_charge),
            (REFUNDS, "refund", settings.rate_limit_refund),
        ):
            if text is not None:
                limit = Limit(name, f"{name}s of one caller", text)
                self.of_endpoints |= dict.fromkeys(endpoints, limit)

    def init_app(self, app: Flask) -> None:
        app.extensions["limiter"] = {self}  # or it would add hooks of its own
        super().init_app(app)
        if self.enabled:
            self.counter = Counter(self.storage)
            app.extensions["limits"] = self
            app.before_request(self._begin)
            app.after_request(self._settle)
            app.teardown_request(_forget)

    def count(self) -> None:
        """One more of whoever asks."""
        bearer: Bearer | None = g.get("bearer")
        if bearer is None:
            limit, who = self.address, counted_as(get_remote_address())
        else:
            limit, who = self.rider if bearer.is_rider else self.service, bearer.name
        g.hit = self.counter.hit(limit, who)

    def _begin(self) -> None:
        """Before each request. Raises TooManyRequests.

        A request that changes something waits for what Redis says. One that reads does not: it is
        counted like any other, and who is over the limit hears so in place of what was read. Who
        reads what is dear waits: pages, of which some ask an issuer or have us look up a payment,
        and by one of which a browser is logged in; and receipts, whose PDF takes as long as many
        reads.
        """
        if request.blueprint == PROBES or request.endpoint in (*self.of_endpoints, WEBHOOKS):
            return
        self.count()
        if request.method not in CHANGE_NOTHING or request.blueprint in DEAR:
            _expect_room()

    def _settle(self, response: Response) -> Response:
        """After each request: the answer, or the refusal that takes its place; with the headers
        that tell how the limit stands. What was refused before it was counted is counted here."""
        if "hit" not in g:
            if request.blueprint == PROBES and response.status_code != 401:
                return response
            if "uncounted" in g:
                return response
            self.count()
        try:
            _expect_room()
        except DomainError as refusal:
            response = current_app.make_response(current_app.handle_user_exception(refusal))
        _tell(g.hit.standing(), response.headers)
        return response


def _expect_room() -> None:
    """Raises TooManyRequests if the request that was counted is one too many, and nobody has heard
    so yet."""
    hit: Hit = g.hit
    standing = hit.standing()
    if standing.taken or "told" in g:
        return
    g.told = True
    raise TooManyRequests(
        f"no more than {standing.window.item}: {hit.limit.of}",
        limit=hit.limit.name,
        retry_after=max(1, math.ceil(standing.reset)),
    )


def _tell(standing: Standing, headers: Headers) -> None:
    most, left = str(standing.window.most), str(standing.remaining)
    reset = str(max(0, math.ceil(standing.reset)))
    headers.extend(
        (
            ("RateLimit-Limit", most),
            ("RateLimit-Remaining", left),
            ("RateLimit-Reset", reset),
            ("X-RateLimit-Limit", most),
            ("X-RateLimit-Remaining", left),
            ("X-RateLimit-Reset", reset),
        )
    )


def _forget(_: BaseException | None) -> None:
    """At the end of a request that met no answer of its own."""
    hit: Hit | None = g.pop("hit", None)
    if hit is not None:
        hit.drop()
