"""The forms in which the address of a PostgreSQL comes, and the one that SQLAlchemy takes.

postgresql://user:password@host:port/name, with several hosts as libpq has them
(host1:5432,host2:5432/name?target_session_attrs=read-write), or as Npgsql has it:
Host=...;Port=...;Database=...;Username=...;Password=...
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.engine import URL, make_url

DRIVER = "postgresql+psycopg2"
POSTGRES = ("postgres", "postgresql", DRIVER)

# Npgsql's names without blanks, in small letters: what they are in a URL.
_NPGSQL = {
    "host": "host",
    "server": "host",
    "port": "port",
    "database": "database",
    "username": "username",
    "userid": "username",
    "password": "password",
    "sslmode": "sslmode",
    "rootcertificate": "sslrootcert",
    "targetsessionattributes": "target_session_attrs",
}
_SESSIONS = {
    "any": "any",
    "primary": "primary",
    "readwrite": "read-write",
    "readonly": "read-only",
    "standby": "standby",
    "preferstandby": "prefer-standby",
}
# name=value, where a value with a semicolon or blanks around it stands in quotes.
_PAIR = re.compile(r"""\s*([^=;]+?)\s*=\s*("(?:[^"]|"")*"|'(?:[^']|'')*'|[^;]*?)\s*(?:;|\Z)""")


def normal(text: str) -> str:
    """The same address as SQLAlchemy takes it; what has another form stays as it is.

    SQLAlchemy 2.1 reads postgresql:// as psycopg 3, and knows several hosts only as ?host=.
    """
    if "://" not in text and "=" in text:
        return _of_npgsql(text)
    scheme, _, rest = text.partition("://")
    if scheme not in POSTGRES:
        return text
    place, slash, path = rest.partition("/")
    user, at, hosts = place.rpartition("@")
    if "," not in hosts:
        return f"{DRIVER}://{rest}"
    several = "&".join(f"host={host}" for host in hosts.split(","))
    return f"{DRIVER}://{user}{at}{slash}{path}{'&' if '?' in path else '?'}{several}"


def _of_npgsql(text: str) -> str:
    found: dict[str, str] = {}
    end = 0
    for pair in _PAIR.finditer(text):
        name = _NPGSQL.get(re.sub(r"\s", "", pair[1]).lower())
        if pair.start() != end or name is None or name in found:
            return text  # refused as what it is: no address
        found[name], end = _unquoted(pair[2]), pair.end()
    if text[end:].strip() or "host" not in found:
        return text
    return _url_of(found).render_as_string(hide_password=False)


def _unquoted(value: str) -> str:
    quote = value[:1]
    return value[1:-1].replace(quote * 2, quote) if quote in ('"', "'") else value


def _url_of(found: dict[str, str]) -> URL:
    query: dict[str, Any] = {}
    if mode := found.get("sslmode"):  # VerifyFull is verify-full
        query["sslmode"] = re.sub(r"(?i)^verify-?", "verify-", mode).lower()
    if root := found.get("sslrootcert"):
        query["sslrootcert"] = root
    if sessions := found.get("target_session_attrs"):
        query["target_session_attrs"] = _SESSIONS.get(sessions.replace("-", "").lower(), sessions)
    hosts = [host.strip() for host in found["host"].split(",")]
    port = found.get("port")
    if len(hosts) > 1:
        query["host"] = [host if ":" in host or not port else f"{host}:{port}" for host in hosts]
    return URL.create(
        DRIVER,
        username=found.get("username"),
        password=found.get("password"),
        host=hosts[0] if len(hosts) == 1 else None,
        port=int(port) if port and port.isdecimal() and len(hosts) == 1 else None,
        database=found.get("database"),
        query=query,
    )


def for_libpq(url: str) -> dict[str, Any]:
    """What psycopg2.connect takes, of an address in any form."""
    read = make_url(normal(url))
    _, arguments = read.get_dialect()().create_connect_args(read)
    return dict(arguments)


def hosts(url: URL) -> list[str]:
    """All hosts that it names, without their ports; a socket's folder is one, too."""
    named = url.query.get("host") or url.host or ""
    several = named.split(",") if isinstance(named, str) else named
    return [host if host.startswith("/") else host.rpartition(":")[0] or host for host in several]
