"""By which names the service may be called: those of ALLOWED_HOSTS, and PUBLIC_URL's.

Where no token is asked for and none are set, this machine's own: else whoever made a page that is
open in a browser here could have its name lead to this machine, and the browser would take our
answers for the page's own.

Probes are answered to whatever they call us, and so is who reads metrics that are guarded: they
ask an address, which is another one for each pod.

Flask's TRUSTED_HOSTS does not do: it cuts a name at its first colon, and so knows no [::1].
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from flask import Flask, request
from werkzeug.exceptions import SecurityError

from payment_service.api import metrics_guard
from payment_service.api.limits import PROBES
from payment_service.config import Settings
from payment_service.config.kinds import each

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def guard(app: Flask) -> None:
    """Has each request meet it, where there are any names."""
    found = app.extensions.get("settings")
    if not found or not (names := _names(found)):
        return
    whole = {name for name in names if not name.startswith(".")}
    under = tuple(name for name in names if name.startswith("."))

    @lru_cache(maxsize=1024)
    def is_ours(host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
        except ValueError:  # no address, though in brackets
            return False
        return name in whole or f".{name}".endswith(under)

    open_metrics = () if metrics_guard.is_needed(found) else (metrics_guard.METRICS,)

    def refuse_others() -> None:
        """Raises SecurityError."""
        if request.blueprint == PROBES and request.endpoint not in open_metrics:
            return
        # Without a Host header it is the address by which the request came.
        if not is_ours(request.host):
            raise SecurityError("this service has another name; ALLOWED_HOSTS lists its names")

    app.before_request(refuse_others)


def _names(settings: Settings) -> tuple[str, ...]:
    """In lower case."""
    if settings.allowed_hosts:
        names = each(settings.allowed_hosts)
    elif settings.auth_mode == "off":
        names = [*LOOPBACK, settings.service_host]
    else:
        return ()
    if settings.public_url:
        names.append(urlsplit(settings.public_url).hostname or "")
    return tuple(name.lower().removesuffix(".") for name in names)
