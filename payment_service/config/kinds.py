"""What a setting can be: one sentence for each kind says what it takes, whatever was wrong."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from zoneinfo import available_timezones

from babel import Locale, UnknownLocaleError
from limits import parse_many
from marshmallow import ValidationError, fields, validate

from payment_service.config import paths, urls
from payment_service.config.by_name import Each, EachNamed
from payment_service.config.durations import Duration, WholeDuration

CENTURY = 100 * 365.25 * 86400
"""Seconds. A moment that far ahead can still be written down, in Python and in PostgreSQL."""

A_DAY = 86400
"""Seconds. A socket takes no time-out of more than 24 days."""

LARGEST_AMOUNT = 10**12
"""Major units; beyond it, minor units would come near the end of the database's bigint."""

_PLAIN_DECIMAL = re.compile(r"[0-9]{1,13}(\.[0-9]{1,6})?", re.ASCII)


def _number(kind: type[fields.Integer | fields.Float], says: str, **limits: Any) -> fields.Field:
    told: dict[str, Any] = dict.fromkeys(("invalid", "special", "too_large"), says)
    return kind(validate=validate.Range(**limits, error=says), error_messages=told)


def _whole(least: int, most: int, kind: type[fields.Integer] = fields.Integer) -> fields.Field:
    says = f"must be a whole number from {least} to {most}"
    return _number(kind, says, min=least, max=most)


def text(check: Callable[[str], object], says: str, *, secret: bool = False) -> fields.Field:
    """Text that `check` takes: it raises nothing, and answers nothing that is false. A `secret`, or
    an address with a password in it, is shown nowhere."""

    def checked(value: str) -> None:
        try:
            fits = check(value)
        except (ValueError, LookupError, OSError, UnknownLocaleError):
            fits = False
        if not fits:
            raise ValidationError(says)

    return fields.String(validate=checked, metadata={"secret": secret})


def _one_of(*words: str) -> fields.Field:
    return text(lambda value: value in words, f"must be one of {', '.join(words)}")


class Amount(fields.Field[Decimal]):
    """Plain digits, major units; exact."""

    def __init__(self, *, zero: bool) -> None:
        super().__init__()
        self._zero = zero

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Decimal:
        number = Decimal(value) if _PLAIN_DECIMAL.fullmatch(value) else Decimal(-1)
        if not 0 <= number <= LARGEST_AMOUNT or (number == 0 and not self._zero):
            least = "0" if self._zero else "more than 0"
            raise ValidationError(
                f"must be an amount in plain digits such as 104.86, from {least} to "
                f"{LARGEST_AMOUNT}, with at most 6 decimals"
            )
        return number


def each(value: str) -> list[str]:
    """The parts of a list with commas."""
    return [part.strip() for part in value.split(",")]


def _rate_limit(value: str) -> bool:
    limits = parse_many(value)
    return all(0 < one.amount <= 10**9 and 0 < one.get_expiry() <= CENTURY for one in limits)


def _secret(value: str) -> bool:
    """Whether it can sign: what follows whsec_ must be base64 of at least one byte."""
    prefix = "whsec_"
    if not value.startswith(prefix):
        return True
    return bool(base64.b64decode(value.removeprefix(prefix), validate=True))


class Words(fields.Field[tuple[str, ...]]):
    """Words with commas between, each once; only those of `known` if there are any."""

    def __init__(self, *known: str) -> None:
        super().__init__()
        self._known = known

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> tuple[str, ...]:
        words = tuple(word.strip() for word in value.split(","))
        unknown = self._known and set(words) - set(self._known)
        if not all(words) or len(set(words)) < len(words) or unknown:
            of = f"of {', '.join(self._known)}" if self._known else "such as scope,roles"
            raise ValidationError(f"must be words {of}, with commas between, each once")
        return words


class Lines(fields.String):
    """Text of several lines, as a file has them; in one line, \\n stands between them."""

    lines = True

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return super()._deserialize(value.replace("\\n", "\n"), *args, **kwargs)


_KEY = re.compile(r"[a-z0-9]{1,16}", re.ASCII)


def encryption_keys(value: str) -> dict[str, bytes]:
    """`k2:<base64>,k1:<base64>` by its ids, the newest first; none of "". Raises ValueError."""
    keys: dict[str, bytes] = {}
    for part in each(value) if value else ():
        name, _, text = part.partition(":")
        key = base64.b64decode(text, validate=True)
        if not _KEY.fullmatch(name) or name in keys or len(key) != 32:
            raise ValueError("no key")
        keys[name] = key
    return keys


PORT = _number(fields.Integer, "must be a port, from 1 to 65535", min=1, max=65535)
COUNT = _whole(1, 10**9)
CONNECTIONS = _whole(1, 1000)  # more than a PostgreSQL gives to one process
PROCESSES = _whole(1, 256)
THREADS = _whole(1, 10_000)
REDIS_NUMBER = _whole(0, 10**6)
WHOLE_SECONDS = _whole(1, A_DAY, WholeDuration)
WHOLE_WAIT = _whole(0, A_DAY, WholeDuration)
SECONDS = _number(
    Duration,
    "must be seconds, more than 0 and under 100 years",
    min=0,
    min_inclusive=False,
    max=CENTURY,
    max_inclusive=False,
)
WAIT = _number(
    Duration,
    "must be seconds, from 0 to under 100 years",
    min=0,
    max=CENTURY,
    max_inclusive=False,
)
CALL = _number(
    Duration,
    f"must be seconds, more than 0 and at most {A_DAY}",
    min=0,
    min_inclusive=False,
    max=A_DAY,
)
SHARE = _number(fields.Float, "must be a number from 0 to 1", min=0, max=1)
YES_OR_NO = fields.Boolean(error_messages={"invalid": "must be true or false"})
DAYS = _whole(1, 36_500)
HOURS = _whole(1, 8_760)
AMOUNT = Amount(zero=True)
LIMIT_BY_CURRENCY = Each(Amount(zero=False), str.upper)
LIMIT_OF_CURRENCIES = EachNamed(Amount(zero=True), str.upper)
COUNT_BY_PROVIDER = Each(COUNT)
THREADS_BY_PROVIDER = Each(THREADS)
SECONDS_BY_PROVIDER = Each(SECONDS)
WAIT_BY_PROVIDER = Each(WAIT)
CALL_BY_PROVIDER = Each(CALL)
DIGITS = text(
    lambda value: re.fullmatch("[0-9]{5,15}", value, re.ASCII) is not None,
    "must be 5 to 15 digits",
)
ROUTES = fields.String()  # providers/registry.py knows the words
CURRENCY = fields.String()  # domain/money.py knows them
ZONE = text(
    lambda name: name in available_timezones(), "must be an IANA time zone, such as Asia/Kolkata"
)
LOCALE = text(Locale.parse, "must be a locale, such as en_IN")
RATE_LIMIT = text(
    _rate_limit, "must be a rate limit over 0, such as 2000 per second; 100000 per minute"
)
SHORT_TEXT = text(lambda value: len(value) <= 100, "must have at most 100 characters")
TEXT = fields.String()
APP_ENV = _one_of("development", "production")
AUTH_MODE = _one_of("jwt", "off")
OPERATOR_LOGIN = _one_of("password", "sso", "both")
FIELD_AND_VALUE = text(
    lambda value: re.fullmatch(r"[A-Za-z_]{1,40}=\w{1,40}", value, re.ASCII),
    "must be a field and its value, such as tcctype=AUTH",
)
FIUU_CAPTURE_ID = _one_of("txnID", "tranID")
OPERATOR_MFA = _one_of("required", "optional")
ALGORITHMS = Words("RS256", "PS256", "ES256", "EdDSA", "HS256")
CLAIMS = Words()
ROLE_SCOPES = fields.String()  # identity/claims.py knows the words
OPERATOR_ROLES = fields.String()  # and these
PUBLIC_KEY = Lines()  # identity/keys.py reads it
LONG_SECRET = text(
    lambda value: len(value.encode()) >= 32, "must have at least 32 bytes", secret=True
)
VISIBLE_SECRET = text(
    lambda value: len(value) >= 16 and all("!" <= char <= "~" for char in value),
    "must be at least 16 visible ASCII characters, without blanks",
    secret=True,
)
# Clocks that differ by more should be mended; each second of it makes every token live longer.
LEEWAY = _number(Duration, "must be seconds, from 0 to 300", min=0, max=300)
SECRET = text(_secret, "what follows whsec_ must be base64", secret=True)
PASSWORD = fields.String(metadata={"secret": True})
HOST = text(urls.is_host, "must be the name or address of a host")
HOSTS = text(
    lambda value: all(urls.is_called(one.removeprefix(".")) for one in each(value)),
    "must be names of hosts (without _) with commas between, .example.com for those under it",
)
ORIGINS = text(
    lambda value: all(map(urls.is_origin, each(value))),
    "must be origins such as https://app.example.com with commas between",
)
NETWORKS = text(
    lambda value: all(map(ipaddress.ip_network, each(value))),
    "must be networks such as 10.0.0.0/8 with commas between",
)
LOG_LEVEL = _one_of("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMAT = _one_of("json", "console")
HEADERS = text(
    lambda value: all(re.fullmatch(r"[\w-]+=[!-~]+", part, re.ASCII) for part in each(value)),
    "must be name=value,name=value, other characters in values as %20",
    secret=True,
)
_ROOTS = ("always_on", "always_off", "traceidratio")
SAMPLER = _one_of(*_ROOTS, *(f"parentbased_{root}" for root in _ROOTS))
SSL_MODE = _one_of(*urls.SSL_MODES)
FILE = text(paths.is_file, "must be a file that can be written, or can be made")
READABLE = text(paths.is_readable, "must be a file that is there and can be read")
FOLDER = text(paths.is_folder, "must be a folder that is there and can be written, or can be made")
ENCRYPTION_KEYS = text(
    encryption_keys,
    "must be id:key,id:key, the newest first, ids of a to z and 0 to 9, keys of 32 bytes in base64",
    secret=True,
)
SECRETS_FOLDER = text(paths.is_secrets_folder, "must be a folder that is there and can be read")
HTTP_URL = text(
    urls.is_http,
    "must be http://host:port or https://host:port, a path behind it or none, without ? and #",
    secret=True,
)
DATABASE_FORMS = (
    "must be postgresql://user:password@host:port/name, several hosts with commas between, or "
    "Host=host;Port=port;Database=name;Username=user;Password=password"
)
DATABASE_URL = text(urls.is_postgres, DATABASE_FORMS, secret=True)
REDIS_URL = text(
    urls.is_redis,
    "must be redis://:password@host:port/number, rediss://, or redis+sentinel://:password@"
    "host:port,host:port/master/number; behind a ? at most db, protocol, client_name, what begins "
    "with ssl_, and sentinel_password",
    secret=True,
)
RABBITMQ_URL = text(
    urls.is_amqp, "must be amqp://user:password@host:port/, or amqps://", secret=True
)
DOCUMENT_URL = text(
    urls.is_document,
    "must be http://host:port/path or https://host:port/path, without #",
    secret=True,
)
