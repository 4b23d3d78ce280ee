"""The provider catalog: filtered, and right at once after an edit, Redis or no Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from payment_service import embedded
from payment_service.extensions import db
from tests.books import execute
from tests.fixtures import MakeApp
from tests.sandbox_server import reserved_port

OFFERS = (
    ("Alpha", "IN", "INR", "CARD", True),
    ("Beta", "IN", "INR", "UPI", True),
    ("Alpha", "KW", "KWD", "CARD", False),
    ("Gamma", "SE", "SEK", "SWISH", True),
    ("Gamma", "SE", "EUR", "CARD", True),
)


@pytest.fixture(autouse=True)
def catalog(app: Flask) -> None:
    """Five offers, in this order."""
    execute(app, "DELETE FROM provider_offers")
    for position, offer in enumerate(OFFERS):
        add(app, *offer, position=position)


def add(app: Flask, *offer: Any, position: int) -> None:
    names = ("name", "country", "currency", "method", "active")
    execute(
        app,
        "INSERT INTO provider_offers (provider_name, country_code, currency, payment_method,"
        " is_active, position) VALUES (:name, :country, :currency, :method, :active, :position)",
        **dict(zip(names, offer, strict=True)),
        position=position,
    )


@pytest.fixture
def without_redis(make_app: MakeApp) -> Iterator[FlaskClient]:
    """A Redis is set, and nobody listens there."""
    with reserved_port() as nobody:
        yield make_app(redis_url=f"redis://127.0.0.1:{nobody.getsockname()[1]}/0").test_client()


def shown(client: FlaskClient, query: str = "") -> list[tuple[Any, ...]]:
    answer = client.get(f"/v1/payments/providers{query}")
    assert answer.status_code == 200, answer.json
    return [
        (o["providerName"], o["countryCode"], o["currency"], o["paymentMethod"], o["isActive"])
        for o in answer.json
    ]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", [0, 1, 2, 3, 4]),
        ("/IN", [0, 1]),
        ("/in", [0, 1]),
        ("/kw", [2]),
        ("/XX", []),
        ("?country=se", [3, 4]),
        ("?currency=inr", [0, 1]),
        ("?method=card", [0, 2, 4]),
        ("?country=IN&method=CARD", [0]),
        ("?country=SE&currency=EUR&method=Card", [4]),
        ("?country=IN&currency=EUR", []),
    ],
)
def test_filters(client: FlaskClient, query: str, wanted: list[int]) -> None:
    assert shown(client, query) == [OFFERS[place] for place in wanted]


@pytest.mark.parametrize("code", ["IND", "I", "1N", "I%20", "%C3%85%C3%84", "INR"])
def test_a_code_that_is_not_two_letters(client: FlaskClient, code: str) -> None:
    answer = client.get(f"/v1/payments/providers/{code}")
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_country")


EDITS = (
    ("UPDATE provider_offers SET is_active = false WHERE provider_name = 'Beta'", 5),
    ("UPDATE provider_offers SET payment_method = 'WALLET' WHERE currency = 'SEK'", 5),
    ("DELETE FROM provider_offers WHERE country_code = 'KW'", 4),
    (
        "INSERT INTO provider_offers (provider_name, country_code, currency, payment_method)"
        " VALUES ('Delta', 'AE', 'AED', 'CARD')",
        5,
    ),
    ("TRUNCATE provider_offers", 0),
)


def follows_edits(app: Flask, client: FlaskClient) -> None:
    before = shown(client)
    for edit, count in EDITS:
        assert shown(client) == before  # whatever keeps a copy has one now
        execute(app, edit)
        after = shown(client)
        assert after != before, edit
        assert len(after) == count
        before = after


def test_an_edit_is_seen_at_once_with_redis(app: Flask, client: FlaskClient) -> None:
    follows_edits(app, client)


def test_an_edit_is_seen_at_once_with_redis_dead(app: Flask, without_redis: FlaskClient) -> None:
    follows_edits(app, without_redis)


def test_an_edit_is_seen_at_once_without_redis(app: Flask, make_app: MakeApp) -> None:
    follows_edits(app, make_app(redis_url=None).test_client())


def test_an_edit_while_redis_is_away_is_seen_when_it_is_back(
    app: Flask, make_app: MakeApp, tmp_path: Path
) -> None:
    """The copy from before the edit is still in that Redis, and is not used."""
    server = embedded.start_redis(tmp_path / "redis")
    try:
        client = make_app(redis_url=server.url).test_client()
        before = shown(client)
        other = make_app(redis_url=None)
        execute(other, "DELETE FROM provider_offers WHERE country_code = 'KW'")
        with redis.Redis.from_url(server.url) as raw:
            assert len(raw.keys("catalog:*")) >= 1
        assert len(shown(client)) == len(before) - 1
    finally:
        server.stop()
    assert len(shown(client)) == len(before) - 1


def test_an_edit_that_is_rolled_back_is_not_seen(app: Flask, client: FlaskClient) -> None:
    before = shown(client)
    with app.app_context(), db.engine.connect() as connection:
        connection.execute(text("DELETE FROM provider_offers"))
        assert shown(client) == before
    assert shown(client) == before


def write_over_copies(app: Flask, text: bytes) -> None:
    """All copies of the catalog that Redis has say this."""
    redis = app.extensions["redis"]
    for name in redis.keys("catalog:*"):
        redis.set(name, text)


def test_the_copy_is_used(app: Flask, client: FlaskClient) -> None:
    """With Redis there the offers are read from the database once per version."""
    shown(client)
    write_over_copies(app, b"[]")
    assert shown(client) == []
    execute(app, "UPDATE provider_offers SET position = 7 WHERE country_code = 'KW'")
    assert len(shown(client)) == len(OFFERS)


def test_a_copy_that_is_no_json_is_not_a_500(app: Flask, client: FlaskClient) -> None:
    shown(client)
    write_over_copies(app, b"{half")
    assert shown(client) == list(OFFERS)
