"""The mutants stand: each finds its text, once, and the tests that should notice."""

from __future__ import annotations

from tests.mutants import MUTANTS, ROOT, Mutant


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
