"""The sandbox's webhooks: sent until they are taken, with the faults of a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from payment_service.sandbox.faults import LIES, Faults
from payment_service.sandbox.journal import Journal
from payment_service.sandbox.memory import Memory
from payment_service.sandbox.webhooks import TABLE, Webhooks
from tests.fixtures import a_key
from tests.sandbox_calls import arm, disarm, eventually, get
from tests.sandbox_server import Sandbox

Send = Callable[..., None]


class Sender:
    """Webhooks of a sandbox of its own, sent to the inbox of another."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.journal = Journal(folder / "journal.jsonl")
        self.memory, self.faults = Memory(self.journal), Faults()
        self.webhooks = Webhooks(self.memory, self.faults, None)
        self.url = f"{sandbox.url}/v1/notifications"
        self._sandbox = sandbox
        self.mark = a_key()

    def send(self, what: str) -> None:
        def build(lie: str | None) -> tuple[bytes, dict[str, str]]:
            body = json.dumps({"mark": self.mark, "what": what, "lie": lie}).encode()
            return body, {"Content-Type": "application/json"}

        self.webhooks.send(dialect="acme", event=what, reference=what, url=self.url, build=build)

    def heard(self) -> list[Any]:
        inbox = get(self._sandbox, "/sandbox/inbox?service=notification")["inbox"]
        bodies = [one["body"] for one in inbox if one["body"].get("mark") == self.mark]
        return [body["lie"] or body["what"] for body in bodies]


@pytest.fixture
def sender(tmp_path: Path, sandbox: Sandbox) -> Iterator[Sender]:
    found = Sender(tmp_path, sandbox)
    found.webhooks.start()
    yield found
    disarm(sandbox)
    found.webhooks.reset()


def test_one_is_sent_until_it_is_taken(sender: Sender, sandbox: Sandbox) -> None:
    arm(sandbox, "notification", "fail_503", times=2, match={"mark": sender.mark})
    sender.send("paid")
    eventually(lambda: sender.heard() == ["paid"])
    eventually(lambda: [row["status"] for row in sender.memory.rows(TABLE)] == ["taken"])
    (row,) = sender.memory.rows(TABLE)
    assert (row["tries"], row["answer"]) == (3, 200)


def test_what_waits_outlives_the_process(tmp_path: Path, sandbox: Sandbox) -> None:
    first = Sender(tmp_path, sandbox)
    first.send("paid")  # nobody sends: not started
    first.journal.close()
    second = Sender(tmp_path, sandbox)
    second.mark = first.mark
    assert second.heard() == []
    second.webhooks.start()
    eventually(lambda: second.heard() == ["paid"])


def test_each_fault_of_the_network(sender: Sender) -> None:
    for fault in ("never", "twice", "after_the_next"):
        sender.faults.arm({"operation": "webhook", "fault": fault, "match": {"event": fault}})
        sender.send(fault)
    sender.faults.arm({"operation": "webhook", "fault": "before_the_answer"})
    sender.send("at once")
    assert "at once" in sender.heard()
    sender.faults.arm({"operation": "webhook", "fault": "late", "ms": 300})
    sender.send("late")
    sender.send("next")
    eventually(lambda: len(sender.heard()) == 6)
    heard = sender.heard()
    assert sorted(heard) == ["after_the_next", "at once", "late", "next", "twice", "twice"]
    assert heard.index("after_the_next") > heard.index("at once")
    assert heard.index("late") > heard.index("next")


def test_what_is_sent_before_the_answer_is_in_the_book_before_it_is_heard(
    sender: Sender, sandbox: Sandbox
) -> None:
    """Who is killed while the service takes it has sent it, and sends it again."""
    arm(sandbox, "notification", "slow", ms=1000, match={"mark": sender.mark})
    sender.faults.arm({"operation": "webhook", "fault": "before_the_answer"})
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(sender.send, "paid")
        eventually(lambda: [row["status"] for row in sender.memory.rows(TABLE)] == ["waiting"])
        assert not under_way.done()
    assert [row["status"] for row in sender.memory.rows(TABLE)] == ["taken"]


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_the_dialect_s_to_tell(sender: Sender, lie: str) -> None:
    sender.faults.arm({"operation": "webhook", "fault": lie})
    sender.send("paid")
    sender.send("paid")
    eventually(lambda: sorted(sender.heard()) == sorted([lie, "paid"]))


def test_without_an_address_nothing_is_sent(sender: Sender) -> None:
    assert sender.webhooks.address_of("acme") is None
    sender.webhooks.base_url = "http://127.0.0.1:1/v1/webhooks/"
    assert sender.webhooks.address_of("acme") == "http://127.0.0.1:1/v1/webhooks/acme"
    sender.url = None  # type: ignore[assignment]
    sender.send("paid")
    assert sender.memory.rows(TABLE) == []
