"""The mutants stand: each finds its text, once, and the tests that should notice; and what those
start does not outlive them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.mutants import MUTANTS, ROOT, Mutant, living, run_in


def _lost(mutant: Mutant) -> str | None:
    """What of the mutant is not there any more."""
    path = ROOT / mutant.path
    count = path.read_text().count(mutant.old) if path.is_file() else 0
    if count != 1:
        return f"{mutant.name}: its text stands {count} times in {mutant.path}"
    for test in mutant.tests:
        file, _, name = test.partition("::")
        text = (ROOT / file).read_text() if (ROOT / file).is_file() else ""
        if not text or (name and f"def {name.partition('[')[0]}(" not in text):
            return f"{mutant.name}: there is no {test}"
    return None


def test_each_finds_its_text_and_its_tests() -> None:
    assert [lost for mutant in MUTANTS if (lost := _lost(mutant))] == []


def test_no_two_have_one_name() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert sorted(names) == sorted(set(names))


LEAVES = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("left it behind", flush=True)
"""


@pytest.mark.parametrize("hangs", [False, True])
def test_nothing_that_a_mutant_s_tests_start_outlives_them(tmp_path: Path, hangs: bool) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    script = LEAVES + "time.sleep(600)" * hangs
    done = run_in(tree, [sys.executable, "-c", script], dict(os.environ), 3 if hangs else 600)
    assert (done is None) == hangs
    assert (tmp_path / "output").read_text().startswith("left it behind")
    assert living(tree) == []
