"""The suite's own guard: what changes the environment waits for whoever connects."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress

import psycopg2
import pytest

from tests import environment
from tests.patience import PATIENCE


def test_a_change_waits_until_nobody_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the connection and says nothing keeps libpq in its connect."""
    monkeypatch.setattr(environment, "LONGEST_WAIT", 30.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def connect() -> None:
            with suppress(psycopg2.OperationalError):
                psycopg2.connect(host="127.0.0.1", port=port, dbname="x", user="x")

        connecting = threading.Thread(target=connect)
        connecting.start()
        silent, _ = server.accept()
        changed = threading.Event()

        def change() -> None:
            os.environ["PAYMENT_TEST_CHANGE"] = "1"
            changed.set()

        changing = threading.Thread(target=change)
        changing.start()
        time.sleep(0.2)
        early = changed.is_set()
        silent.close()
        connecting.join()
        changing.join()
        del os.environ["PAYMENT_TEST_CHANGE"]
    assert not early


def test_a_thread_that_connects_reads_no_list_that_is_moved() -> None:
    """Changes and connects beside each other, as in the suite: neither waits for ever."""
    over = threading.Event()

    def connect() -> None:
        while not over.is_set():
            with suppress(psycopg2.OperationalError):
                psycopg2.connect(host="127.0.0.1", port=1, dbname="x", user="x")

    threads = [threading.Thread(target=connect) for _ in range(4)]
    for thread in threads:
        thread.start()
    names = [f"PAYMENT_TEST_{number}" for number in range(200)]
    for name in names:
        os.environ[name] = "x" * 50
    for name in names:
        del os.environ[name]
    over.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
