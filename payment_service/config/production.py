"""What a service that takes real money refuses to start with. One line for each thing."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from flask.helpers import get_debug_flag
from sqlalchemy.engine import make_url

from payment_service.config import database_urls, kinds
from payment_service.config.reading import Faults

if TYPE_CHECKING:
    from payment_service.config import Settings

SHORTEST_KEY = 32
"""Bytes of SECRET_KEY: as many as the hash has with which Flask signs."""

_ENCRYPTED = ("require", "verify-ca", "verify-full")
# What the examples here and elsewhere say, and what is tried first by whoever guesses.
_EXAMPLES = re.compile(
    r"(secret|password|passwd|postgres|payments?|admin|root|example|test|dev|change.?me|your.*)?"
    r"(.?(key|password|secret))?[0-9!]{0,4}|.*(change.?me|example|your.?(secret|key|pass)).*",
    re.IGNORECASE,
)


class Refusal(NamedTuple):
    """`wrong` of the settings is told under the setting's name, as what it `says`."""

    name: str
    wrong: Callable[[Settings], bool]
    says: str


def refused(settings: Settings) -> Faults:
    """All that is unsafe, by the name of its setting."""
    faults: Faults = {}
    for refusal in (*REFUSALS, *_plain_urls()):
        if refusal.wrong(settings):
            faults.setdefault(refusal.name, []).append(f"in production {refusal.says}")
    return faults


def is_example(secret: str) -> bool:
    """Whether it is a word from an example, or none at all, and so no secret."""
    return _EXAMPLES.fullmatch(secret) is not None or len(set(secret)) < 3


def _is_set_as_example(secret: str | None) -> bool:
    return secret is not None and is_example(secret)


def is_inside(host: str | None, settings: Settings) -> bool:
    """Whether a host is this machine or in the cluster, where nobody else listens: by its name. One
    without a dot, and `name.namespace.svc`, is found by the cluster's DNS only."""
    if not host or host.startswith("/"):
        return True  # a socket's folder
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        name = host.lower().removesuffix(".")
        if name.isdigit() or name.startswith("0x"):
            return False  # an address, as some write it
        return "." not in name or name.endswith((".svc", f".{settings.cluster_domain.lower()}"))


def _weak_key(settings: Settings) -> bool:
    key = settings.secret_key or ""
    return len(key.encode()) < SHORTEST_KEY or is_example(key)


def _weak_encryption(settings: Settings) -> bool:
    keys = kinds.encryption_keys(settings.encryption_keys or "")
    return not keys or any(len(set(key)) < 10 for key in keys.values())  # random ones have 30


def _weak_password(settings: Settings) -> bool:
    if not settings.database_url:
        return False
    url = make_url(settings.database_url)
    password = str(url.password or url.query.get("password") or "")
    return is_example(password) or password == url.username


def _database_in_the_open(settings: Settings) -> bool:
    return _server_in_the_open(settings.database_url, settings)


def _replica_in_the_open(settings: Settings) -> bool:
    return _server_in_the_open(settings.database_read_url or "", settings)


def _server_in_the_open(server: str, settings: Settings) -> bool:
    if not server:
        return False
    url = make_url(server)
    address = url.query.get("hostaddr") or ()
    addresses = address.split(",") if isinstance(address, str) else address
    inside = all(is_inside(host, settings) for host in [*database_urls.hosts(url), *addresses])
    return not inside and url.query.get("sslmode") not in _ENCRYPTED


def in_the_open(url: str | None, settings: Settings) -> bool:
    """Whether it is asked without TLS, and not in the cluster."""
    parts = urlsplit(url or "")
    return parts.scheme == "http" and not is_inside(parts.hostname, settings)


def _plain_urls() -> Iterator[Refusal]:
    """For each setting that is an address of somebody asked over HTTP."""
    from payment_service.config import Settings  # which uses this module

    for field in dataclasses.fields(Settings):
        if field.metadata["kind"] in (kinds.HTTP_URL, kinds.DOCUMENT_URL):

            def wrong(settings: Settings, name: str = field.name) -> bool:
                return in_the_open(getattr(settings, name), settings)

            yield Refusal(
                field.name.upper(), wrong, "must be https:// unless its host is in CLUSTER_DOMAIN"
            )


_AT_RANDOM = "must be at random, and from no example"

REFUSALS: tuple[Refusal, ...] = (
    Refusal("JWT_SECRET", lambda settings: _is_set_as_example(settings.jwt_secret), _AT_RANDOM),
    Refusal(
        "METRICS_TOKEN", lambda settings: _is_set_as_example(settings.metrics_token), _AT_RANDOM
    ),
    Refusal(
        "SWISH_CALLBACK_SECRET",
        lambda settings: _is_set_as_example(settings.swish_callback_secret),
        _AT_RANDOM,
    ),
    Refusal(
        "LOOKUP_HMAC_KEY",
        lambda settings: _is_set_as_example(settings.lookup_hmac_key),
        _AT_RANDOM,
    ),
    Refusal(
        "OPERATOR_SSO_CLIENT_SECRET",
        lambda settings: _is_set_as_example(settings.operator_sso_client_secret),
        _AT_RANDOM,
    ),
    # What Flask takes for on is not what is taken here: to it, "off" is on.
    Refusal("FLASK_DEBUG", lambda settings: settings.flask_debug or get_debug_flag(), "must be 0"),
    Refusal("SECRET_KEY", _weak_key, f"must be {SHORTEST_KEY} bytes or more, and from no example"),
    Refusal(
        "METRICS_TOKEN",
        lambda settings: settings.metrics_token is None and settings.metrics_port is None,
        "must be set, or METRICS_PORT, which nobody outside reaches",
    ),
    Refusal(
        "ENCRYPTION_KEYS", _weak_encryption, "must be set, with keys as openssl rand -base64 32"
    ),
    Refusal("DATABASE_URL", _weak_password, "must have a password (DB_PASS), and from no example"),
    Refusal(
        "DATABASE_URL",
        _database_in_the_open,
        f"must have sslmode={' or '.join(_ENCRYPTED)} (DB_SSL_MODE) unless its host is in"
        " CLUSTER_DOMAIN",
    ),
    Refusal(
        "DATABASE_READ_URL",
        _replica_in_the_open,
        f"must have sslmode={' or '.join(_ENCRYPTED)} unless its host is in CLUSTER_DOMAIN",
    ),
    # In the cluster no payer would reach it.
    Refusal(
        "PUBLIC_URL",
        lambda settings: (settings.public_url or "").startswith("http://"),
        "must be https://",
    ),
    Refusal(
        "PROVIDER_ROUTES",
        lambda settings: bool(re.search(r"[=>]\s*sandbox\b", settings.provider_routes)),
        "must not lead to the sandbox, which takes no money",
    ),
    Refusal(
        "SANDBOX_PROVIDER_URL",
        lambda settings: settings.sandbox_provider_url is not None,
        "must not be set",
    ),
)
