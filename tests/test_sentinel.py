"""A Redis whose master Sentinels name: it dies, it is exchanged, and counting goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis

from payment_service import patient_redis
from payment_service.config import redis_urls
from payment_service.config.urls import is_redis
from tests.fixtures import MakeApp
from tests.redis_watched import until, watched
from tests.sandbox_server import reserved_port

MANY = 100_000


def test_what_a_url_of_sentinels_says() -> None:
    found = redis_urls.watched(
        "rediss+sentinel://me:p%40ss@one,[::1]:5/it/3?sentinel_password=s%26t&ssl_ca_certs=/ca"
    )
    assert found == redis_urls.Watched(
        (("one", 26379), ("::1", 5)),
        "it",
        "s&t",
        "rediss://me:p%40ss@one/3?ssl_ca_certs=%2Fca",
    )
    assert redis_urls.watched("redis://one:26379/0") is None


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://one:26379",
        "redis+sentinel://one:26379/",
        "redis+sentinel://one:26379,/it",
        "redis+sentinel://,one:26379/it",
        "redis+sentinel://one:0/it",
        "redis+sentinel://one:99999/it",
        "redis+sentinel://one:x/it",
        "redis+sentinel://one/it/name",
        "redis+sentinel://one/it/0?socket_timeout=60",
        "http+sentinel://one/it",
    ],
)
def test_what_is_no_url_of_sentinels(url: str) -> None:
    assert not is_redis(url)
    assert is_redis("redis+sentinel://one,two:26380/it/0?sentinel_password=x&protocol=3")


@pytest.mark.slow
@pytest.mark.usefixtures("redis_is_not_waited_for")
def test_counting_goes_on_with_the_new_master(make_app: MakeApp, tmp_path: Path) -> None:
    """Twice: the first master is told to give way and lives on, the second one is killed. Nobody
    is refused meanwhile, and then two processes count together again."""
    with reserved_port() as dead, watched(tmp_path) as found:
        url = found.url(dead.getsockname()[1])
        one, other = (
            make_app(rate_limit=f"{MANY} per 2 day", redis_url=url).test_client() for _ in "12"
        )
        asked = 0

        def left(client: Any) -> int:
            nonlocal asked
            asked += 1
            answer = client.get("/v1/no/such/page")
            assert answer.status_code == 404
            return int(answer.headers["RateLimit-Remaining"])

        def together() -> bool:
            """Whether each counts what the other does, in the master's memory."""
            seen = [left(client) for client in (one, other, one, other)]
            return seen == list(range(seen[0], seen[0] - 4, -1)) and keys() == 1

        def keys() -> int:
            return int(found.client(found.master()).dbsize())

        assert together()
        first = found.master()
        for step in ("told", "killed"):
            before = found.master()
            if step == "told":
                found.asked().execute_command("SENTINEL", "FAILOVER", "limits")
            else:
                found.servers[before].process.kill()
            until(lambda before=before: left(one) and found.master() not in (0, before))
            until(together)
            assert one.get("/health/ready").json["dependencies"]["redis"] == "UP"
            if step == "told":
                # It was killed by nobody, so it is what the next one can give way to.
                until(lambda: found.client(first).role()[0] == b"slave")
                until(lambda: found.client(first).info("replication")["master_link_status"] == "up")
        assert found.master() == first
        assert asked < MANY


@pytest.mark.slow
def test_a_master_that_has_become_a_replica_is_left(tmp_path: Path) -> None:
    with watched(tmp_path) as found:
        client: Any = patient_redis.client(found.url())
        client.set("name", "before")
        first = found.master()
        ((other, _),) = [one for one in found.servers.items() if one[0] != first]
        found.client(first).replicaof("127.0.0.1", other)
        with pytest.raises(redis.ConnectionError, match="not the master any more"):
            client.set("name", "after")


@pytest.mark.slow
def test_no_sentinel_is_waited_for(tmp_path: Path) -> None:
    """None of them answers, or they know nothing of the master's name."""
    with reserved_port() as one, reserved_port() as two:
        hosts = ",".join(f"127.0.0.1:{port.getsockname()[1]}" for port in (one, two))
        client: Any = patient_redis.client(f"redis+sentinel://{hosts}/it")
        with pytest.raises(redis.ConnectionError):
            client.ping()
    with watched(tmp_path) as found:
        client = patient_redis.client(found.url().replace("/limits/", "/others/"))
        with pytest.raises(redis.ConnectionError, match="others"):
            client.ping()
