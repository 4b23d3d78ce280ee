"""Operators' passwords: what is too weak, what hashing costs, and that nobody can tell by it who
there is."""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type
from flask import Flask

from payment_service.domain.operators import Busy, WeakPassword
from payment_service.identity import passwords
from tests.conftest import ROOT
from tests.fixtures import MakeApp, a_key
from tests.operators import KEYS, PASSWORD, Person, an_address, an_operator
from tests.patience import PATIENCE
from tests.sandbox_calls import eventually

KNOWN = ("maria.silva@example.com", "Maria Silva")


def test_what_a_hash_costs() -> None:
    cost = extract_parameters(passwords.hashed(PASSWORD))
    assert (cost.type, cost.memory_cost, cost.time_cost, cost.parallelism) == (
        Type.ID,
        19456,
        2,
        1,
    )


def test_a_hash_is_its_password_s_only() -> None:
    kept = passwords.hashed(PASSWORD)
    assert passwords.matches(PASSWORD, kept)
    assert not passwords.matches(PASSWORD + " ", kept)
    assert not passwords.matches(PASSWORD, None)
    assert not passwords.matches(PASSWORD, "no hash")
    assert kept != passwords.hashed(PASSWORD)


def test_what_looks_the_same_is_the_same() -> None:
    """Keyboards put an e with an accent together in two ways."""
    assert passwords.matches(
        "cafe\u0301 au lait, twice", passwords.hashed("caf\xe9 au lait, twice")
    )


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "x" * 11,
        "aB3$fG7!kL9",
        "x" * 129,
        "passwordpassword",
        "aaaaaaaaaaaaaaaaaaaa",
        "qwertyuiop123456",
        "maria.silva@example.com",
        "mariasilva1990",
        "payment-service1",
    ],
)
def test_weak_ones_are_refused(password: str) -> None:
    with pytest.raises(WeakPassword):
        passwords.refuse_weak(password, KNOWN)


@pytest.mark.parametrize(
    "password",
    [
        "nine lamps above the harbour",
        "kettle thunder nine moss",
        "\u03b3\u03b1\u03bb\u03ac\u03b6\u03b9\u03bf \u03b2\u03bf\u03c5\u03bd\u03cc 42 \u2603",
        "vT9#qLw2!xRz",
        "nine lamps above the harbour " * 4,
        "a password with a \x00 and much else in it",
    ],
)
def test_long_ones_need_nothing_else(password: str) -> None:
    assert len(password) <= 128
    passwords.refuse_weak(password, KNOWN)


@pytest.mark.slow
def test_what_scores_passwords_is_loaded_where_one_is_set() -> None:
    """It takes 13 MB."""
    program = (
        "import sys\n"
        "import payment_service.services.log_ins, payment_service.services.invites\n"
        "assert 'zxcvbn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


class Gate(PasswordHasher):
    """Hashes nothing until it may, and counts who is here."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.here = self.most = 0
        self.may_go = threading.Event()
        self._lock = threading.Lock()

    def verify(self, hash: Any, password: Any) -> Any:
        with self._lock:
            self.here += 1
            self.most = max(self.most, self.here)
        assert self.may_go.wait(PATIENCE)
        with self._lock:
            self.here -= 1
        return True


def test_two_are_hashed_at_once_and_the_25th_is_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate()
    kept = gate.hash(PASSWORD)
    monkeypatch.setattr(passwords, "HASHER", gate)
    everybody = passwords.MOST_WAITING + 1
    with ThreadPoolExecutor(everybody) as pool:
        came = [pool.submit(passwords.matches, PASSWORD, kept) for _ in range(everybody)]
        eventually(lambda: sum(one.done() for one in came) == 1)
        eventually(lambda: gate.most == passwords.AT_ONCE)
        gate.may_go.set()
    assert sum(isinstance(one.exception(), Busy) for one in came) == 1
    assert sum(one.exception() is None and one.result() for one in came) == everybody - 1
    assert gate.most == passwords.AT_ONCE
    assert passwords.matches(PASSWORD, kept)


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Flask:
    return make_app(**KEYS)


@pytest.mark.slow
def test_a_name_that_nobody_has_takes_as_long(app: Flask) -> None:
    """Each try from an address of its own, or it would have to wait. By the processor's time: what
    else the machine does has no part in it."""
    person = an_operator(app)
    nobody = Person(app, 0, f"{a_key()}@example.com")
    took: dict[str, list[float]] = {"known": [], "nobody": []}
    for who in (person, nobody):
        who.log_in("wrong", address=an_address())  # all is loaded by now
    for _ in range(50):
        for name, who in (("known", person), ("nobody", nobody)):
            started = time.process_time()
            who.log_in("wrong", address=an_address())
            took[name].append(time.process_time() - started)
    known, unknown = (statistics.median(took[name]) for name in ("known", "nobody"))
    assert abs(known - unknown) < 0.1 * max(known, unknown)


MEMORY = """
import sys
from concurrent.futures import ThreadPoolExecutor
from payment_service import config, create_app
from payment_service.identity import passwords
from payment_service.services import log_ins

app = create_app(config.load(database_url=sys.argv[1], auth_mode="off", db_pool_timeout=120))

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

def come(number):
    with app.app_context():
        return log_ins.by_password(
            email=f"{number}@example.com", password="wrong", address=f"10.9.{number}.1", agent="")

come(200)
before = peak()
with ThreadPoolExecutor(24) as pool:
    found = list(pool.map(come, range(24)))
assert len(found) == 24 and all(one == log_ins.NotLoggedIn() for one in found), found
print(peak() - before)
"""


@pytest.mark.slow
def test_twenty_four_at_once_take_little_memory(postgres_url: str) -> None:
    """Each hash takes 19 MB, and 24 at once would take 456."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, postgres_url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 100_000  # kB
