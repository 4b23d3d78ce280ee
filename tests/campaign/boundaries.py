"""Kills on purpose: a web worker dies at each boundary of each verb, held there from outside."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg2

from tests.campaign import holds, timing
from tests.campaign.faulty import MONEY, Levers
from tests.campaign.holds import NotThere
from tests.campaign.load import Caller, Known, Market
from tests.campaign.stage import Stage
from tests.campaign.told import Answer, Asked

BOUNDARIES = (
    "before begin commits",
    "after begin",
    "provider reached",
    "provider answered",
    "before finish commits",
    "after finish",
)
DONE_SOON = 0.15
"""Seconds in which the sandbox, having done it, has also written its answer to the socket."""


class Cells:
    """Takes single requests to a boundary and kills whoever carries them."""

    def __init__(self, stage: Stage, market: Market, levers: Levers, rng: random.Random) -> None:
        self.stage, self.market, self.levers, self.rng = stage, market, levers, rng
        self.caller = Caller(market, random.Random(rng.random()))
        self.killed: Counter[tuple[str, str]] = Counter()
        self.how: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.never_sent: list[str] = []
        self.pauses: list[tuple[float, float]] = []
        self._kills: dict[str, Callable[[Asked], str]] = {
            "before begin commits": lambda asked: self._before_commit(asked, "begin"),
            "after begin": lambda asked: self._after_commit(asked, "begin"),
            "provider reached": self._at_provider,
            "provider answered": self._answered,
            "before finish commits": lambda asked: self._before_commit(asked, "finish"),
            "after finish": lambda asked: self._after_commit(asked, "finish"),
        }
        # The callers' retries go on beside the next kill.
        self._retries = ThreadPoolExecutor(8, thread_name_prefix="retry")
        self._pending: list[Future[None]] = []

    def kill(self, boundary: str, verb: str) -> bool:
        """One kill; False if the request never came to the boundary."""
        asked = self._prepared(verb)
        if asked is None:
            self.missed["nothing to work on"] += 1
            return False
        asked.note = f"killed {boundary}"
        try:
            how = self._kills[boundary](asked)
            self.killed[boundary, verb] += 1
            self.how[f"{boundary}: {how}"] += 1
            return True
        except (NotThere, psutil.Error, psycopg2.Error, OSError) as error:
            self.missed[f"{boundary}, {verb}: {str(error).splitlines()[0][:80]}"] += 1
            return False
        finally:
            self._pending.append(self._retries.submit(self.caller.until_definite, asked))

    def pause_sender(self, verb: str) -> threading.Thread | None:
        """Stops a web worker exactly between begin and call for longer than every lock and
        time-out, and lets it go on: it must not send any more."""
        asked = self._prepared(verb)
        if asked is None:
            return None
        asked.note = "paused between begin and call"
        try:
            with holds.held(self.stage, "begin", self.market.told.number()) as hold:
                request = _Request(self.market.url, asked, hold.request_id)
                worker = self._worker_of(request)
                hold.victim(request.over)
                stop(worker)
                hold.release()
                try:
                    row = holds.until(hold.row, request.over, "the end of begin")
                except BaseException:
                    _wake(worker)
                    raise
        except (NotThere, psutil.Error, psycopg2.Error, OSError) as error:
            self.missed[f"paused sender: {str(error).splitlines()[0][:80]}"] += 1
            self._pending.append(self._retries.submit(self.caller.until_definite, asked))
            return None
        self.never_sent.append(row["reference"])
        self.pauses.append((time.time() - 1, time.time() + timing.PAUSE_SECONDS + 1))
        self._pending.append(self._retries.submit(self.caller.until_definite, asked))
        awake = threading.Timer(timing.PAUSE_SECONDS, _wake, [worker])
        awake.start()
        return awake

    def finish(self) -> None:
        """Returns once every caller has been told how it ended."""
        self._retries.shutdown()
        for future in self._pending:
            future.result()

    # -- at the database

    def _before_commit(self, asked: Asked, place: str) -> str:
        with holds.held(self.stage, place, self.market.told.number()) as hold:
            request = _Request(self.market.url, asked, hold.request_id)
            worker = self._worker_of(request)
            backend = hold.victim(request.over)
            worker.kill()
            hold.end(backend)
            row = hold.row()
            if place == "begin" and row is not None:
                raise NotThere("begin was committed before")
            if place == "finish" and (row is None or row["status"] != "PROCESSING"):
                raise NotThere("finish was committed before")
        return "held in its commit"

    def _after_commit(self, asked: Asked, place: str) -> str:
        with holds.held(self.stage, place, self.market.told.number()) as hold:
            request = _Request(self.market.url, asked, hold.request_id)
            worker = self._worker_of(request)
            hold.victim(request.over)
            stop(worker)
            try:
                hold.release()
                wanted = {"begin": "PROCESSING"}.get(place)
                holds.until(lambda: _stands(hold.row(), wanted), lambda: False, "the commit's end")
            finally:
                worker.kill()
        return "stopped in its commit, killed after it"

    # -- at the provider

    def _at_provider(self, asked: Asked) -> str:
        fault = self.rng.choice(["accept_no_answer", "slow"])
        self._while_asked(asked, fault)
        return fault

    def _answered(self, asked: Asked) -> str:
        """The provider has done it. Its answer is lost, or lies unread in the socket."""
        fault = self.rng.choice(["do_and_hang", "slow"])
        self._while_asked(asked, fault, done=True)
        return "answered and not read" if fault == "slow" else fault

    def _while_asked(self, asked: Asked, fault: str, done: bool = False) -> None:
        request_id = f"campaign.provider.{self.market.told.number()}"
        more = {"ms": 300} if fault == "slow" else {}
        armed = self.levers.arm(asked.verb, fault, match={"token": asked.token}, **more)
        if armed is None:
            raise NotThere("the sandbox is down")
        request = _Request(self.market.url, asked, request_id)
        worker = self._worker_of(request)
        holds.until(lambda: self.levers.taken(armed), request.over, "the provider")
        if not done:
            worker.kill()
            return
        stop(worker)
        try:
            with self.stage.connect() as connection:
                row = holds.row_of(connection, request_id)
            if row is None:
                raise NotThere("begin is not there")
            reference = row["reference"]
            holds.until(lambda: self.levers.knows(reference), lambda: False, "the deed")
            time.sleep(DONE_SOON)
        finally:
            worker.kill()

    # -- what is asked, and who has it

    def _worker_of(self, request: _Request) -> psutil.Process:
        found: psutil.Process = holds.until(
            lambda: self.stage.holder_of(request.port), request.over, "a web worker"
        )
        return found

    def _prepared(self, verb: str) -> Asked | None:
        """A request of this verb for a payment of its own, not sent yet."""
        token = f"card-{secrets.token_hex(6)}"
        body: dict[str, Any] = {"order_id": self.market.a_number(), "amount_minor": 12_345,
                                "method": "CARD", "payment_token": token}  # fmt: skip
        path = "/v1/payments/charge"
        if verb == "authorize":
            body["capture"] = False
        elif verb != "charge":
            first = body if verb == "refund" else body | {"capture": False}
            known = self._existing(first, token)
            if known is None:
                return None
            last = {"void": "cancel"}.get(verb, verb)
            path, body = f"/v1/payments/{known.payment_id}/{last}", {}
        key = f"cell-{secrets.token_hex(8)}"
        return self.market.told.note(Asked(verb, path, body, key, token))

    def _existing(self, body: dict[str, Any], token: str) -> Known | None:
        verb = "authorize" if "capture" in body else "charge"
        key = f"cell-{secrets.token_hex(8)}"
        asked = Asked(verb, "/v1/payments/charge", body, key, token)
        self.market.told.note(asked)
        self.caller.until_definite(asked)
        if asked.final is None or asked.final.status != 201:
            return None
        return Known(asked.final.json()["payment_id"], token, body["amount_minor"])


class _Request:
    """One request on a connection of its own, whose port tells which process has it."""

    def __init__(self, url: str, asked: Asked, request_id: str) -> None:
        place = urlsplit(url)
        timeout = timing.CALLER_TIMEOUT_SECONDS + timing.PAUSE_SECONDS
        self._connection = http.client.HTTPConnection(
            place.hostname or "", place.port, timeout=timeout
        )
        self._connection.connect()
        self.port: int = self._connection.sock.getsockname()[1]
        self._asked, self._request_id = asked, request_id
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def over(self) -> bool:
        return not self._thread.is_alive()

    def _send(self) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": self._asked.key,
                   "X-Request-ID": self._request_id}  # fmt: skip
        self._asked.tries += 1
        try:
            body = json.dumps(self._asked.body)
            self._connection.request("POST", self._asked.path, body, headers)
            found = self._connection.getresponse()
            text = found.read().decode()
        except (OSError, http.client.HTTPException):
            self._asked.silences += 1
            return
        finally:
            self._connection.close()
        replayed = found.headers.get("Idempotent-Replayed") == "true"
        self._asked.answers.append(Answer(time.time(), found.status, text, replayed))


def _stands(row: dict[str, Any] | None, wanted: str | None) -> bool:
    """Whether the transaction is committed: in this status, or (None) with an outcome."""
    if row is None:
        return False
    return row["status"] == wanted if wanted else row["status"] != "PROCESSING"


def stop(process: psutil.Process) -> None:
    """SIGSTOP, and wait until it has come: on a busy machine the first thread to see it may be
    late, and the others run on until then."""
    process.suspend()
    tasks = Path(f"/proc/{process.pid}/task")

    def stopped() -> bool:
        if not tasks.exists():  # not Linux
            return bool(process.status() == psutil.STATUS_STOPPED)
        states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in
                  tasks.iterdir()]  # fmt: skip
        return set(states) <= {"T", "t"}

    holds.until(stopped, lambda: False, "a stop")


def _wake(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        process.resume()


def all_cells() -> list[tuple[str, str]]:
    return [(boundary, verb) for boundary in BOUNDARIES for verb in MONEY]
