"""The bench beside other services believes tables, not answers, and has limits."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.bench import world
from tests.bench.peers import rounds
from tests.bench.peers.contract import Act, Running, Unavailable, complaint
from tests.bench.peers.fetching import replace_once
from tests.bench.peers.programs import program
from tests.bench.peers.rounds import Bench, Round, Unproven, repeated
from tests.bench.sinks import a_listener


def test_a_polluted_round_is_made_again_but_not_forever() -> None:
    def made(*foreign: float) -> tuple[Round, int]:
        left = [Round(1.0, 1.0, 1.0, share) for share in foreign]
        found = repeated(lambda: left.pop(0))
        return found, len(foreign) - len(left)

    clean, dirty = 0.0, 2 * rounds.FOREIGN_MOST
    assert made(clean, dirty) == (Round(1.0, 1.0, 1.0, clean), 1)
    assert made(dirty, clean, dirty) == (Round(1.0, 1.0, 1.0, clean), 2)
    least = made(3 * dirty, dirty, 2 * dirty, clean)
    assert least == (Round(1.0, 1.0, 1.0, dirty), rounds.TRIES)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_what_is_answered_but_not_in_the_tables_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "SETTLED_SECONDS", 0.0)
    act = Act("nothing", path="/{pick}", body="{n}", done="SELECT 7", picks=["a", "b"])
    with world.servers(tmp_path, by_tcp=True) as servers, a_listener(0.0) as url:
        running = Running(url, "payments", {}, [act], reads="SELECT '/'")
        with pytest.raises(Unproven, match=r"nothing: [1-9][0-9]* were answered, 0 are in its"):
            Bench(servers, [running]).act(running, act, 1)


def test_a_program_that_ends_is_unavailable_and_says_why(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = ["sh", "-c", "echo first; echo An ERROR of its own; echo last"]
    with (
        pytest.raises(Unavailable, match="An ERROR of its own"),
        program(command, tmp_path, log, "http://127.0.0.1:9/"),
    ):
        pass
    log.write_text("quiet\nto the end\n")
    assert complaint(log).startswith("to the end")


def test_a_line_that_is_not_as_expected_is_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "server.go"
    file.write_text('Addr: ":" + port')
    replace_once(file, '":" + port', '"127.0.0.1:" + port')
    assert file.read_text() == 'Addr: "127.0.0.1:" + port'
    for text in ('Addr: ":" + cfg.Port', 'a ":" + port, b ":" + port'):
        file.write_text(text)
        with pytest.raises(Unavailable, match=r"server\.go is not as expected"):
            replace_once(file, '":" + port', '"127.0.0.1:" + port')
        assert file.read_text() == text
