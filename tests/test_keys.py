"""Keys from an issuer: fetched by one thread at a time, kept while it is away, never let go for
rubbish. The issuer is the sandbox's identity service, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask
from jwt.algorithms import RSAAlgorithm

from payment_service import config
from payment_service.config import Settings
from payment_service.domain.errors import InvalidToken, KeysUnavailable
from payment_service.identity import key_sets
from payment_service.identity.key_sets import KeySet
from payment_service.identity.keys import MOST_WAITING, FetchedKeys, keys_of
from payment_service.identity.tokens import Tokens
from tests.fixtures import IN_PRODUCTION, MakeApp, a_key, an_order
from tests.patience import PATIENCE
from tests.sandbox_calls import arm, disarm
from tests.sandbox_server import Sandbox
from tests.tokens import SECURED, bearing

MINUTE = 60.0


class Clock:
    """Seconds, as a test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer(sandbox_of_module: Sandbox) -> Iterator[Sandbox]:
    disarm(sandbox_of_module)
    yield sandbox_of_module
    disarm(sandbox_of_module)


def issued(issuer: Sandbox, client: str = "trip-service", **form: Any) -> str:
    answer = requests.post(
        f"{issuer.url}/identity/token",
        data={"grant_type": "client_credentials", **form},
        auth=(client, "secret"),
        timeout=PATIENCE,
    )
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


def rotate(issuer: Sandbox, **form: str) -> None:
    answer = requests.post(f"{issuer.url}/sandbox/identity/rotate", data=form, timeout=PATIENCE)
    assert answer.status_code == 200


def settings(issuer: Sandbox, **changes: Any) -> Settings:
    given = {"database_url": "postgresql://h/d", "auth_mode": "jwt"}
    return config.load(**{**given, "jwt_issuer": f"{issuer.url}/identity", **changes})


def by_issuer(issuer: Sandbox, clock: Clock, **changes: Any) -> Tokens:
    found = settings(issuer, **changes)
    return Tokens(found, keys_of(found, clock), clock)


def apart(issuer: Sandbox, make_app: MakeApp, clock: Clock | None = None) -> Flask:
    """An app that takes the issuer's tokens, with a clock of its own."""
    app = make_app(auth_mode="jwt", jwt_issuer=f"{issuer.url}/identity")
    if clock:
        app.extensions["tokens"] = by_issuer(issuer, clock)
    return app


def test_a_token_of_the_issuer_charges(issuer: Sandbox, make_app: MakeApp) -> None:
    client = apart(issuer, make_app).test_client()
    headers = {"Idempotency-Key": a_key(), **bearing(issued(issuer))}
    answer = client.post("/v1/payments/charge", json=an_order(), headers=headers)
    assert answer.status_code == 201, answer.text
    other = issued(issuer, audience="ledger")
    assert client.get("/v1/payments", headers=bearing(other)).json["reason"] == "audience"
    reads = issued(issuer, scope="payments:read")
    headers = {"Idempotency-Key": a_key(), **bearing(reads)}
    assert client.post("/v1/payments/charge", json={}, headers=headers).status_code == 403
    assert client.get("/health/ready").json["dependencies"]["keys"] == "UP"


@pytest.mark.parametrize("source", ["jwt_jwks_url", "jwt_public_key_url"])
def test_keys_from_an_address(issuer: Sandbox, source: str) -> None:
    url = f"{issuer.url}/identity/keys"
    tokens = by_issuer(issuer, Clock(), jwt_issuer=None, **{source: url})
    if source == "jwt_jwks_url":
        assert tokens.bearer(issued(issuer)).name == "trip-service"
    else:  # what is there is no PEM
        with pytest.raises(KeysUnavailable):
            tokens.bearer(issued(issuer))


def test_another_issuers_document_is_not_believed(issuer: Sandbox) -> None:
    """It says that it is .../identity, and not .../identity/."""
    tokens = by_issuer(issuer, Clock(), jwt_issuer=f"{issuer.url}/identity/")
    with pytest.raises(KeysUnavailable):
        tokens.bearer(issued(issuer))


def test_keys_change_under_charges(issuer: Sandbox, make_app: MakeApp) -> None:
    """Eight threads, each with a fresh token for each charge: none is refused while its key is
    served."""
    app = apart(issuer, make_app)
    half = threading.Barrier(9)

    def charge(number: int) -> list[int]:
        client, found = app.test_client(), []
        for turn in range(6):
            if turn == 3:
                half.wait(PATIENCE)
                half.wait(PATIENCE)  # between the two the key changes
            token = issued(issuer, f"service-{number}")
            headers = {"Idempotency-Key": a_key(), **bearing(token)}
            answer = client.post("/v1/payments/charge", json=an_order(), headers=headers)
            found.append(answer.status_code)
            again = client.get("/v1/payments?limit=1", headers=bearing(token))
            found.append(again.status_code)
        return found

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(charge, number) for number in range(8)]
        half.wait(PATIENCE)
        old = issued(issuer)
        rotate(issuer)
        half.wait(PATIENCE)
        told = Counter(status for one in running for status in one.result(PATIENCE))
    assert told == {201: 48, 200: 48}
    assert app.test_client().get("/v1/payments", headers=bearing(old)).status_code == 200


RUBBISH = [
    *("reset_before_reading", "fail_500", "fail_503", "half_body_not_done", "garbage_200"),
    *("html_200", "too_many_requests"),
]


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        *((operation, fault) for operation in ("discovery", "keys") for fault in RUBBISH),
        ("keys", "empty_keys"),
    ],
)
def test_good_keys_stay_while_the_issuer_answers_rubbish(
    issuer: Sandbox, operation: str, fault: str
) -> None:
    clock = Clock()
    tokens = by_issuer(issuer, clock, jwt_keys_stale_seconds=3600.0)
    assert tokens.bearer(issued(issuer)).name == "trip-service"
    arm(issuer, operation, fault, times=0)
    for _ in range(10):  # nearly an hour
        clock.now += 350.0
        assert tokens.bearer(issued(issuer)).name == "trip-service"
        assert tokens.keys.is_well() is False
    disarm(issuer)
    clock.now += MINUTE
    tokens.bearer(issued(issuer))
    assert tokens.keys.is_well() is True
    arm(issuer, operation, fault, times=0)
    clock.now += 3601.0
    with pytest.raises(KeysUnavailable):
        tokens.bearer(issued(issuer))
    disarm(issuer)
    clock.now += 5.0
    assert tokens.bearer(issued(issuer)).name == "trip-service"


def test_a_key_of_an_unknown_kind_is_passed_over(issuer: Sandbox) -> None:
    arm(issuer, "keys", "unknown_key", times=0)
    assert by_issuer(issuer, Clock()).bearer(issued(issuer)).name == "trip-service"


@pytest.mark.parametrize("odd", [None, 7, {"verify": 1}, ["sign"]])
def test_a_key_whose_use_is_odd_is_passed_over(odd: Any) -> None:
    public = rsa.generate_private_key(65537, 2048).public_key()
    numbers = json.loads(RSAAlgorithm.to_jwk(public))
    listed = [
        {**numbers, "kid": "odd", "key_ops": odd},
        {**numbers, "kid": "ours", "key_ops": ["verify"]},
    ]
    found = key_sets.of_jwks({"keys": listed}, ["RS256"])
    assert "ours" in [key.kid for key in found.keys]


def test_a_shared_secret_is_in_no_repr() -> None:
    assert "this-secret" not in repr(key_sets.of_secret("this-secret-is-nobody-s-business!"))


def test_without_any_key_nobody_comes_in(issuer: Sandbox, make_app: MakeApp) -> None:
    arm(issuer, "*", "reset_before_reading", times=0, match={"http_method": "GET"})
    clock = Clock()
    client = apart(issuer, make_app, clock).test_client()
    assert client.get("/health/ready").json["dependencies"]["keys"] == "UP"  # nobody has asked yet
    token = issued(issuer)
    for _ in range(2):
        answer = client.get("/v1/payments", headers=bearing(token))
        assert (answer.status_code, answer.json["code"]) == (503, "keys_unavailable")
        assert answer.headers["Retry-After"] == "1"
    assert client.get("/v1/payments", headers=bearing("garbage")).status_code == 401
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json["status"]) == (200, "DEGRADED")
    assert ready.json["dependencies"]["keys"] == "DOWN"
    disarm(issuer)
    clock.now += 5.0
    assert client.get("/v1/payments", headers=bearing(token)).status_code == 200
    assert client.get("/health/ready").json["status"] == "UP"


class Served:
    """A source of keys that counts, and can be made to hang or to fail."""

    def __init__(self, *kids: str) -> None:
        self.kids = list(kids)
        self.fetched = 0
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        self.fails = False

    def __call__(self) -> KeySet:
        self.fetched += 1
        self.begun.set()
        assert self.go_on.wait(PATIENCE)
        if self.fails:
            raise ValueError("on demand")
        return key_sets.of_jwks({"keys": [{**JWK, "kid": kid} for kid in self.kids]}, ["EdDSA"])

    def hang(self) -> None:
        self.begun.clear()
        self.go_on.clear()


JWK: dict[str, Any] = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}


def found(keys: FetchedKeys, kid: str) -> bool:
    return bool(keys.find(kid, "EdDSA")[1])


def test_an_unknown_key_is_asked_for_once_a_minute() -> None:
    served, clock = Served("one"), Clock()
    keys = FetchedKeys(served, 86400.0, clock)
    assert found(keys, "one") and served.fetched == 1
    for minute in range(4):
        for number in range(50):
            assert not found(keys, f"forged-{minute}-{number}")
        assert served.fetched == 2 + minute
        clock.now += MINUTE
    served.kids = ["one", "two"]
    assert found(keys, "two")
    served.fails = True
    clock.now += 100 * MINUTE
    assert not found(keys, "three") and found(keys, "two")


def test_keys_are_fetched_again_after_five_minutes() -> None:
    served, clock = Served("one"), Clock()
    keys = FetchedKeys(served, 86400.0, clock)
    for seconds, fetched in ((0, 1), (299, 1), (301, 2), (599, 2), (601, 3)):
        clock.now = 1000.0 + seconds
        assert found(keys, "one")
        assert served.fetched == fetched, seconds
    served.fails = True
    for seconds, fetched in ((902, 4), (931, 4), (933, 5), (940, 5)):
        clock.now = 1000.0 + seconds
        assert found(keys, "one")
        assert served.fetched == fetched, seconds


def test_while_one_fetches_the_others_go_on() -> None:
    served, clock = Served("one"), Clock()
    keys = FetchedKeys(served, 86400.0, clock)
    assert found(keys, "one")
    clock.now += 400.0
    served.hang()
    with ThreadPoolExecutor(9) as pool:
        slow = pool.submit(found, keys, "one")
        assert served.begun.wait(PATIENCE)
        others = [pool.submit(found, keys, "one") for _ in range(8)]
        assert all(other.result(PATIENCE) for other in others)
        assert not slow.done()
        served.go_on.set()
        assert slow.result(PATIENCE)
    assert served.fetched == 2


def test_those_with_a_new_key_wait_for_who_fetches_it_and_not_too_many() -> None:
    served, clock = Served("one"), Clock()
    keys = FetchedKeys(served, 86400.0, clock)
    assert found(keys, "one")
    served.kids = ["one", "two"]
    served.hang()
    with ThreadPoolExecutor(MOST_WAITING + 1) as pool:
        first = pool.submit(found, keys, "two")
        assert served.begun.wait(PATIENCE)
        others = [pool.submit(found, keys, "two") for _ in range(MOST_WAITING)]
        refused = next(as_completed(others, PATIENCE))
        assert isinstance(refused.exception(PATIENCE), KeysUnavailable)
        assert found(keys, "one")
        served.go_on.set()
        waited = [one for one in (first, *others) if one is not refused]
        assert [one.result(PATIENCE) for one in waited] == [True] * MOST_WAITING
    assert served.fetched == 2


def test_forged_ones_at_once_make_one_fetch() -> None:
    """Those that waited for it don't fetch one after the other."""
    served = Served("one")
    keys = FetchedKeys(served, 86400.0, Clock())
    assert found(keys, "one")
    served.hang()
    started = threading.Semaphore(0)

    def forged(number: int) -> bool:
        started.release()
        return found(keys, f"forged-{number}")

    with ThreadPoolExecutor(MOST_WAITING) as pool:
        running = [pool.submit(forged, number) for number in range(MOST_WAITING)]
        for _ in running:
            assert started.acquire(timeout=PATIENCE)
        assert served.begun.wait(PATIENCE)
        served.go_on.set()
        assert [one.result(PATIENCE) for one in running] == [False] * MOST_WAITING
    assert served.fetched == 2


def test_at_the_start_all_wait_for_the_first_fetch() -> None:
    served = Served("one")
    keys = FetchedKeys(served, 86400.0, Clock())
    served.hang()
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(found, keys, "one") for _ in range(8)]
        assert served.begun.wait(PATIENCE)
        served.go_on.set()
        assert all(one.result(PATIENCE) for one in running)
    assert served.fetched == 1


def test_a_button_changes_the_key(issuer: Sandbox) -> None:
    first = issued(issuer)
    page = requests.post(
        f"{issuer.url}/sandbox/identity/rotate", data={"back": "1"}, timeout=PATIENCE
    )
    assert (page.status_code, page.url) == (200, f"{issuer.url}/")  # back at the page
    tokens = by_issuer(issuer, Clock())
    for token in (first, issued(issuer)):
        assert tokens.bearer(token).name == "trip-service"


@pytest.mark.slow
def test_a_slow_issuer_is_left_after_two_seconds(issuer: Sandbox) -> None:
    clock = Clock()
    tokens = by_issuer(issuer, clock)
    token = issued(issuer)
    tokens.bearer(token)
    arm(issuer, "keys", "accept_no_answer", times=0)
    clock.now += 400.0
    fresh = issued(issuer, "another")
    assert tokens.bearer(fresh).name == "another"
    assert tokens.keys.is_well() is False


def test_a_token_signed_by_a_withdrawn_key(issuer: Sandbox) -> None:
    clock = Clock()
    tokens = by_issuer(issuer, clock)
    old = issued(issuer)
    tokens.bearer(old)
    rotate(issuer, withdraw="1")
    assert tokens.bearer(old)  # it is remembered, and its key not yet known to be gone
    tokens.bearer(issued(issuer))  # its key is not known, so that all are fetched
    with pytest.raises(InvalidToken):
        tokens.bearer(old)


def test_an_issuer_that_hangs_does_not_take_all_threads() -> None:
    """Without any key, once a fetch has failed."""
    served, clock = Served("one"), Clock()
    served.fails = True
    keys = FetchedKeys(served, 86400.0, clock)
    with pytest.raises(KeysUnavailable):
        keys.find("one", "EdDSA")
    clock.now += 10.0
    served.hang()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(keys.find, "one", "EdDSA")
        assert served.begun.wait(PATIENCE)
        for _ in range(48):
            with pytest.raises(KeysUnavailable):
                keys.find("one", "EdDSA")
        served.go_on.set()
        assert isinstance(slow.exception(PATIENCE), KeysUnavailable)
    assert served.fetched == 2


def told(app: Flask, *arguments: str) -> Any:
    return app.test_cli_runner().invoke(args=["token", *arguments])


def test_flask_token_makes_one(issuer: Sandbox, make_app: MakeApp) -> None:
    for app in (make_app(**SECURED), apart(issuer, make_app)):
        client = app.test_client()
        made = told(app)
        assert made.exit_code == 0, made.output
        headers = {"Idempotency-Key": a_key(), **bearing(made.output.strip())}
        charged = client.post("/v1/payments/charge", json=an_order(rider_id=7), headers=headers)
        assert charged.status_code == 201, charged.text
        path = f"/v1/payments/{charged.json['payment_id']}"
        for sub, status in (("7", 200), ("8", 404)):
            rider = told(app, "--role", "rider", "--sub", sub).output.strip()
            assert client.get(path, headers=bearing(rider)).status_code == status
        narrow = told(app, "--scope", "refunds:write", "--ttl", "5").output.strip()
        assert client.get(path, headers=bearing(narrow)).status_code == 403


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({**SECURED, **IN_PRODUCTION}, "APP_ENV=production"),
        ({"auth_mode": "off"}, "set JWT_SECRET"),
        ({"auth_mode": "jwt", "jwt_issuer": "http://127.0.0.1:9"}, "the issuer gave none"),
    ],
)
def test_flask_token_makes_none(make_app: MakeApp, changes: dict[str, Any], says: str) -> None:
    made = told(make_app(**changes))
    assert made.exit_code == 1
    assert says in made.output
