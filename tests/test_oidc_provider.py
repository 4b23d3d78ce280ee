"""The service with the tokens of an identity provider that nobody here wrote."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from payment_service.identity.keys import keys_of
from payment_service.identity.tokens import Tokens
from tests.fixtures import MakeApp, a_key, an_order
from tests.oidc_provider import Issuer, running_issuer
from tests.patience import PATIENCE
from tests.tokens import bearing


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    with running_issuer(tmp_path_factory.mktemp("issuer")) as running:
        yield running


def charge(app: Flask, token: str) -> int:
    answer = app.test_client().post(
        "/v1/payments/charge",
        json=an_order(),
        headers={"Idempotency-Key": a_key(), **bearing(token)},
    )
    return answer.status_code


def test_its_token_charges(issuer: Issuer, make_app: MakeApp) -> None:
    app = make_app(auth_mode="jwt", jwt_issuer=issuer.url)
    assert charge(app, issuer.token()) == 201
    assert charge(app, issuer.token("payments:read")) == 403


def test_its_keys_change_under_charges(issuer: Issuer, make_app: MakeApp) -> None:
    app = make_app(auth_mode="jwt", jwt_issuer=issuer.url)
    half = threading.Barrier(9)

    def charges(_: int) -> list[int]:
        found = [charge(app, issuer.token()) for _ in range(2)]
        half.wait(PATIENCE)
        half.wait(PATIENCE)  # between the two the key changes
        return found + [charge(app, issuer.token()) for _ in range(2)]

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(charges, number) for number in range(8)]
        half.wait(PATIENCE)
        old = issuer.token()
        issuer.rotate()
        half.wait(PATIENCE)
        told = Counter(status for one in running for status in one.result(PATIENCE))
    assert told == {201: 32}
    assert charge(app, old) == 201


@pytest.mark.slow
def test_it_may_stop_and_die(issuer: Issuer, make_app: MakeApp) -> None:
    """Tokens by known keys go on, remembered or not, for as long as keys may be stale."""
    now = [1000.0]
    app = make_app(auth_mode="jwt", jwt_issuer=issuer.url, jwt_keys_stale_seconds=3600.0)
    settings = app.extensions["settings"]
    clock = lambda: now[0]  # noqa: E731
    app.extensions["tokens"] = Tokens(settings, keys_of(settings, clock), clock)
    fresh = [issuer.token() for _ in range(4)]
    assert charge(app, fresh[0]) == 201
    issuer.send(signal.SIGSTOP)
    now[0] += 400.0
    assert [charge(app, token) for token in fresh[:2]] == [201, 201]
    ready = app.test_client().get("/health/ready").json
    assert (ready["status"], ready["dependencies"]["keys"]) == ("DEGRADED", "DOWN")
    issuer.kill()
    now[0] += 400.0
    assert [charge(app, token) for token in fresh] == [201] * 4
    now[0] += 3600.0
    assert charge(app, fresh[0]) == 503
    issuer.start()
    now[0] += 60.0
    assert charge(app, issuer.token()) == 201
    assert app.test_client().get("/health/ready").json["status"] == "UP"
