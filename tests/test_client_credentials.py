"""One token for all threads: asked for once, kept until shortly before its end, said to nobody."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from payment_service.providers import client_credentials
from payment_service.providers.client_credentials import EARLY, ClientCredentials
from payment_service.providers.contract import NotSent, OutcomeUnknown
from tests.canned_server import Asked, Canned, canned_server
from tests.logged import logged
from tests.patience import PATIENCE

SECRET = "of-the-client"


@pytest.fixture
def server() -> Iterator[Canned]:
    with canned_server() as running:
        running.answers["/token"] = tokens()
        running.answer("/money", 200, {"done": True})
        yield running


def tokens(seconds: float = 3600) -> Any:
    """Each token another one."""
    numbers = itertools.count(1)
    return lambda asked: (200, {"access_token": f"token-{next(numbers)}", "expires_in": seconds})


def client(server: Canned) -> ClientCredentials:
    form = {"client_id": "us", "client_secret": SECRET}
    return ClientCredentials("acme", f"{server.url}/token", form)


def pay(of: ClientCredentials, server: Canned, timeout: float = PATIENCE) -> int:
    return of.call("POST", f"{server.url}/money", {"amount": 1}, timeout=timeout).status


def test_it_is_asked_for_as_a_form_and_borne_by_each_request(server: Canned) -> None:
    us = client(server)
    assert [pay(us, server), pay(us, server)] == [200, 200]
    (asked,) = server.asked_for("/token")
    assert asked.body == b"grant_type=client_credentials&client_id=us&client_secret=of-the-client"
    assert [one.bearer for one in server.asked_for("/money")] == ["token-1", "token-1"]


def test_many_threads_ask_for_one(server: Canned) -> None:
    us, count = client(server), 16
    together, told = threading.Barrier(count + 1), tokens()

    def slowly(asked: Asked) -> tuple[int, Any]:
        together.wait(PATIENCE)  # it is answered when all threads want it
        answer: tuple[int, Any] = told(asked)
        return answer

    server.answers["/token"] = slowly

    def one(_: int) -> int:
        threading.Thread(target=together.wait, args=(PATIENCE,), daemon=True).start()
        return pay(us, server)

    with ThreadPoolExecutor(count) as pool:
        assert set(pool.map(one, range(count))) == {200}
    assert len(server.asked_for("/token")) == 1
    assert {asked.bearer for asked in server.asked_for("/money")} == {"token-1"}


def test_shortly_before_its_end_it_is_used_no_more(server: Canned) -> None:
    server.answers["/token"] = tokens(seconds=EARLY)
    us = client(server)
    assert [pay(us, server), pay(us, server)] == [200, 200]
    assert [one.bearer for one in server.asked_for("/money")] == ["token-1", "token-2"]


def test_a_token_that_is_refused_is_replaced_once(server: Canned) -> None:
    server.answers["/money"] = lambda asked: (401 if asked.bearer == "token-1" else 200, {})
    us = client(server)
    assert pay(us, server) == 200
    assert [one.bearer for one in server.asked_for("/money")] == ["token-1", "token-2"]
    server.answer("/money", 401, {})
    with pytest.raises(NotSent):
        pay(us, server)
    assert len(server.asked_for("/money")) == 4


def test_threads_whose_token_is_refused_share_the_next(server: Canned) -> None:
    us, count = client(server), 8
    pay(us, server)
    refused = threading.Barrier(count)

    def money(asked: Asked) -> tuple[int, Any]:
        if asked.bearer != "token-1":
            return 200, {}
        refused.wait(PATIENCE)
        return 401, {}

    server.answers["/money"] = money
    with ThreadPoolExecutor(count) as pool:
        assert set(pool.map(lambda _: pay(us, server), range(count))) == {200}
    assert len(server.asked_for("/token")) == 2


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"error": "invalid_client"}),
        (500, {}),
        (200, b"<html>"),
        (200, {"access_token": "t"}),
        (200, {"access_token": 7, "expires_in": 60}),
        (200, {"access_token": "a\r\nX-More: b", "expires_in": 60}),
        (200, {"access_token": "t", "expires_in": "soon"}),
        (200, {"access_token": "t", "expires_in": 10**400}),
    ],
)
def test_without_a_token_nothing_is_sent(server: Canned, status: int, body: Any) -> None:
    server.answer("/token", status, body)
    us = client(server)
    with pytest.raises(NotSent) as error:
        pay(us, server)
    assert server.asked_for("/money") == []
    assert SECRET not in str(error.value)
    server.answers["/token"] = tokens()
    assert pay(us, server) == 200


def test_one_that_comes_too_late_sends_nothing(server: Canned) -> None:
    """Its time is part of the request's, which ends before a look-up may say `never received`."""
    late, answered = threading.Event(), threading.Event()

    def hangs(asked: Asked) -> tuple[int, Any]:
        late.wait(PATIENCE)
        answered.set()
        return 200, {"access_token": "token-1", "expires_in": 3600}

    server.answers["/token"] = hangs
    us = client(server)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(pay, us, server, 0.2) for _ in range(4)]
        assert all(isinstance(one.exception(), NotSent) for one in asked)
    late.set()
    assert answered.wait(PATIENCE)
    assert server.asked_for("/money") == []


def test_one_that_took_all_the_time_is_used_for_nothing(
    server: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(client_credentials, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def takes_long(asked: Asked) -> tuple[int, Any]:
        now[0] += PATIENCE
        return 200, {"access_token": "token-1", "expires_in": 3600}

    server.answers["/token"] = takes_long
    with pytest.raises(NotSent):
        pay(client(server), server)
    assert server.asked_for("/money") == []


@pytest.mark.parametrize(("status", "error"), [(403, NotSent), (429, NotSent)])
def test_what_surely_did_nothing(server: Canned, status: int, error: type[Exception]) -> None:
    server.answer("/money", status, b"<html>")
    with pytest.raises(error):
        pay(client(server), server)


def test_a_server_that_is_gone(server: Canned) -> None:
    us = client(server)
    pay(us, server)
    with pytest.raises(NotSent):
        us.call("POST", "http://127.0.0.1:9/money", timeout=PATIENCE)
    server.answer("/money", 200, b"x" * (2 << 20))  # more than is read of any answer
    with pytest.raises(OutcomeUnknown):
        pay(us, server)


def test_it_is_in_no_log_and_no_repr(server: Canned) -> None:
    us = client(server)
    pay(us, server)
    server.answer("/token", 401, {"error": SECRET})
    server.answer("/money", 401, {})
    with logged(client_credentials) as events, pytest.raises(NotSent) as error:
        pay(us, server)
    assert [event["event"] for event in events] == ["client_refused"]
    told = "".join((str(events), str(error.value), repr(us), repr(vars(us).keys())))
    assert not any(secret in told for secret in (SECRET, "token-1"))
