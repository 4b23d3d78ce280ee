"""Who a request comes from, in one spelling, and behind proxies of ours.

Werkzeug's ProxyFix believes the last so many entries of X-Forwarded-For, whoever sends them. Here a
proxy is believed for its address, so that whoever reaches us past the proxies can claim nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from payment_service import addresses
from payment_service.api.prefix import WSGIApp
from payment_service.config.kinds import each


def behind_proxies(app: WSGIApp, networks: str | None) -> WSGIApp:
    """A WSGI wrapper: each request has its caller's address in its one spelling, in which limits,
    log-ins and audit know him; one that a proxy in one of the `networks` hands on that of its
    client, and its scheme."""
    known = [addresses.network(one) for one in each(networks)] if networks else []

    @lru_cache(maxsize=4096)
    def is_ours(address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in known)

    def wrapped(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["REMOTE_ADDR"] = peer = addresses.plain(environ.get("REMOTE_ADDR", ""))
        if known and is_ours(peer):
            # Each proxy writes to the right of what it got; what stands left of the first address
            # that is not a proxy's was written by somebody else.
            for hop in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
                if (address := _address(hop.strip())) is None:
                    break
                environ["REMOTE_ADDR"] = address
                if not is_ours(address):
                    break
            scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip().lower()
            if scheme in ("http", "https"):
                environ["wsgi.url_scheme"] = scheme
        return app(environ, start_response)

    return wrapped


def _address(hop: str) -> str | None:
    """The address in an entry, which may have a port behind it."""
    host = hop.partition("]")[0].removeprefix("[")
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        return addresses.plain(str(ip_address(host)))
    except ValueError:
        return None
