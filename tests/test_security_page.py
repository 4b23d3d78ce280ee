"""docs/security.md names, for each item that it says is held, tests that there are."""

from __future__ import annotations

import re

from tests.sandbox_server import ROOT


def test_each_item_names_tests_that_there_are() -> None:
    page = (ROOT / "docs/security.md").read_text()
    rows = re.findall(r"^\| ([0-9]+(?:\.[0-9]+)+) \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
    assert len(rows) > 8
    assert len(rows) == len(dict(rows))
    for item, tests in rows:
        named = re.findall(r"`(tests/\w+\.py)::(\w+)`", tests)
        assert named, item
        for path, name in named:
            assert f"def {name}(" in (ROOT / path).read_text(), f"{item}: {path}::{name}"
