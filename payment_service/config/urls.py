"""What makes a URL one that can be used. Each question is asked of the library that will use it."""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

import pika
import psycopg2.extensions
import redis
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from payment_service.config import database_urls, redis_urls

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

_OF_REDIS = re.compile(r"(db|protocol|client_name)\Z|ssl_")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII | re.IGNORECASE)


def is_host(name: str) -> bool:
    """A host's name, or an address of IPv4 or IPv6 (without brackets)."""
    if ":" in name:
        try:
            return bool(ipaddress.IPv6Address(name))
        except ValueError:
            return False
    labels = name.removesuffix(".").split(".")
    return len(name) <= 253 and all(map(_LABEL.fullmatch, labels))


def is_called(name: str) -> bool:
    """Whether it can be what a request calls a host. One with _ in it can't: names of hosts have
    none, and werkzeug takes such a Host header for none at all."""
    return is_host(name) and "_" not in name


def is_http(text: str) -> bool:
    """A base to which paths are added, so nothing may follow its own."""
    url = _split(text, "http", "https")
    return url is not None and not (set("?#\\ ") & set(text))


def is_document(text: str) -> bool:
    """The address of one document, which is asked for as it stands."""
    return _split(text, "http", "https") is not None and not (set("#\\ ") & set(text))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_origin(text: str) -> bool:
    """As a browser names where a page comes from: scheme, host and port, and nothing else."""
    url = _split(text, "http", "https")
    return url is not None and text == f"{url.scheme}://{url.netloc}" == text.lower()


def origin_of(text: str) -> str | None:
    """The origin of an address that a browser is led to; None for what is no http(s) address, or
    what browsers might read in another way than we do."""
    url = _split(text, "http", "https")
    if url is None or "\\" in text or "@" in url.netloc or not all("!" <= c <= "~" for c in text):
        return None
    usual = {"http": 80, "https": 443}[url.scheme]
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return f"{url.scheme}://{host}" + (f":{url.port}" if url.port not in (None, usual) else "")


def is_postgres(text: str) -> bool:
    """SQLAlchemy reads it and libpq takes it; hosts, or a socket's folder as ?host=."""
    try:
        url = make_url(postgres(text))
        if url.drivername != database_urls.DRIVER or url.query.get("sslmode") not in (
            None,
            *SSL_MODES,
        ):
            return False
        named = database_urls.hosts(url)
        if not all(host.startswith("/") or is_host(host) for host in named):
            return False
        if url.port is not None and not 0 < url.port < 65536:
            return False
        psycopg2.extensions.make_dsn(**database_urls.for_libpq(postgres(text)))
    except (SQLAlchemyError, psycopg2.Error, ValueError, TypeError):
        return False
    return True


def postgres(text: str) -> str:
    """The address as SQLAlchemy takes it."""
    return database_urls.normal(text)


def postgres_of(parts: dict[str, Any]) -> str:
    """The URL of DB_HOST and its companions."""
    return URL.create(
        database_urls.DRIVER,
        username=parts["db_user"],
        password=parts["db_pass"],
        host=parts["db_host"],
        port=parts["db_port"],
        database=parts["db_name"],
        query={"sslmode": parts["db_ssl_mode"]} if parts["db_ssl_mode"] else {},
    ).render_as_string(hide_password=False)


def is_redis(text: str) -> bool:
    """How long Redis is waited for, and how often, is not for the URL to say (patient_redis)."""
    try:
        found = redis_urls.watched(text)
    except ValueError:
        return False
    if found is not None:
        text = found.redis_url
        if not all(is_host(host) and port > 0 for host, port in found.sentinels):
            return False
    url = _split(text, "redis", "rediss")
    if url is None or not re.fullmatch(r"/?[0-9]{0,6}", url.path, re.ASCII) or url.fragment:
        return False
    if not all(_OF_REDIS.match(name) for name in parse_qs(url.query, keep_blank_values=True)):
        return False
    try:
        # Builds a connection, and does not connect.
        redis.ConnectionPool.from_url(text).make_connection()
    except (redis.RedisError, ValueError, TypeError):
        return False
    return True


def redis_of(parts: dict[str, Any]) -> str:
    """The URL of REDIS_HOST and its companions."""
    return URL.create(
        "redis",
        username="",  # a password without a name
        password=parts["redis_password"],
        host=parts["redis_host"],
        port=parts["redis_port"],
        database=str(parts["redis_db"]),
    ).render_as_string(hide_password=False)


def is_amqp(text: str) -> bool:
    url = _split(text, "amqp", "amqps")
    if url is None or url.fragment:
        return False
    try:
        pika.URLParameters(text)
    except (ValueError, TypeError):
        return False
    return True


def _split(text: str, *schemes: str) -> SplitResult | None:
    """The parts of a URL with one of these schemes, a host, and a port in range if it has one."""
    try:
        url = urlsplit(text)
        fits = url.scheme in schemes and is_host(url.hostname or "") and url.port != 0
    except ValueError:
        return None
    return url if fits else None
