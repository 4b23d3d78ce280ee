"""What of addresses is one caller, for the limits and for the tries of a log-in alike."""

from __future__ import annotations

import itertools

import pytest
from flask import Flask

from payment_service import addresses
from payment_service.services import log_in_tries
from payment_service.services.log_in_tries import Try
from tests.fixtures import MakeApp, a_number
from tests.operators import an_operator

ONE = ("2001:db8:1:2::1", "2001:DB8:1:2::1", "2001:db8:1:2:ffff::9")
ANOTHER = ("203.0.113.7", "::ffff:203.0.113.7", "::ffff:cb00:7107")
OTHERS = ("2001:db8:1:3::1", "203.0.113.8", "::203.0.113.7", "a socket", "")


def test_a_caller_has_one_name() -> None:
    of = addresses.counted_as
    names = [{of(address) for address in group} for group in (ONE, ANOTHER)]
    assert names == [{"2001:db8:1:2::/64"}, {"203.0.113.7"}]
    assert len({of(address) for address in OTHERS} | set().union(*names)) == 2 + len(OTHERS)


def test_an_address_has_one_spelling() -> None:
    assert {addresses.plain(address) for address in ANOTHER} == {"203.0.113.7"}
    assert {addresses.plain(address) for address in ONE} == {ONE[0], ONE[2]}


@pytest.mark.parametrize("group", [ONE, ANOTHER])
def test_the_limit_of_an_address_is_his(make_app: MakeApp, group: tuple[str, ...]) -> None:
    client = make_app(rate_limit=f"100 per {a_number() % 300 + 20} day").test_client()

    def left(address: str) -> int:
        answer = client.get("/v1/nothing", environ_overrides={"REMOTE_ADDR": address})
        return int(answer.headers["RateLimit-Remaining"])

    told = [left(address) for address in group]
    assert told == [told[0] - number for number in range(len(group))]


@pytest.mark.parametrize("group", [ONE, ANOTHER])
def test_so_are_the_tries_of_a_log_in(app: Flask, group: tuple[str, ...]) -> None:
    person = an_operator(app)
    with app.app_context():
        taken = [
            log_in_tries.take(operator_id=person.operator_id, name="", address=address)
            for address in itertools.islice(itertools.cycle(group), log_in_tries.FREE + 1)
        ]
    assert [isinstance(one, Try) for one in taken] == [True] * log_in_tries.FREE + [False]
