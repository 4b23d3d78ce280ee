"""What a browser may do with our answers: the headers that say so, on each of them."""

from __future__ import annotations

from collections.abc import Callable

from flask import Response, request
from werkzeug.datastructures import Headers

from payment_service.config import Settings
from payment_service.config.kinds import each
from payment_service.domain.pages import is_page, is_payers_page
from payment_service.problems import CSP, IN_A_BROWSER

Guard = Callable[[Response], None]

# No plug-in, no foreign frame, no script or style but from our own files.
PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
# Swagger UI writes styles into its elements.
DOCS = PAGE.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
# One file that is kept and sent on, so its style is in it; nothing else is loaded.
RECEIPT = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
# Chromium shows a PDF in a page of its own making, which the PDF's policy holds for.
PDF = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"

_OF_PAGES = (
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_A_YEAR = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
_READABLE = (
    "ETag, Idempotent-Replayed, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After,"
    " X-Request-ID"
)
_SENDABLE = "Authorization, Content-Type, Idempotency-Key, If-None-Match, X-Request-ID"
_METHODS = "GET, POST, PATCH, DELETE"
_REMEMBERED = "600"
"""Seconds that a browser need not ask again; some ask after ten minutes anyway."""


def guard(settings: Settings) -> Guard:
    """What adds the headers to an answer. A policy that a view has set stays."""
    always = (_A_YEAR,) if settings.app_env == "production" else ()
    data = (*IN_A_BROWSER, *always)
    own = tuple(header for header in data if header[0] != CSP)
    page = (*own, *_OF_PAGES)
    origins = frozenset(each(settings.allowed_origins) if settings.allowed_origins else ())

    def add(response: Response) -> None:
        headers = response.headers
        kind = headers.get("Content-Type") or ""
        if kind == "application/json":  # nearly all of them
            headers.extend(data)
        elif kind.startswith("text/html"):
            headers.setdefault(CSP, PAGE)
            headers.extend(page)
        else:
            headers.extend(own if CSP in headers else data)
        to_payer = is_payers_page(request.path)
        if to_payer:  # whoever has its address has the link
            headers["Referrer-Policy"] = "no-referrer"
        if to_payer or is_page(request.path):  # nothing of it is there after the log-out
            headers["Cache-Control"] = "no-store"
        if origins:
            _let_read(headers, origins)

    return add


def _let_read(headers: Headers, origins: frozenset[str]) -> None:
    """CORS: a page from one of the origins may call us and read the answer. Without cookies: the
    API takes none."""
    headers.add("Vary", "Origin")
    origin = request.headers.get("Origin")
    if origin not in origins:
        return
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Expose-Headers"] = _READABLE
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        headers["Access-Control-Allow-Methods"] = _METHODS
        headers["Access-Control-Allow-Headers"] = _SENDABLE
        headers["Access-Control-Max-Age"] = _REMEMBERED
