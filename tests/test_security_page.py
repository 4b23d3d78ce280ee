"""docs/security.md names, for each item that it says is held, tests that there are; and leaves no
item out."""

from __future__ import annotations

import re

from tests.sandbox_server import ROOT

ITEMS = {
    *("1.2.10", "2.3.2", "2.3.4", "2.3.5", "2.4.1"),
    *("3.3.1", "3.3.2", "3.3.3", "3.3.4", "3.4.1", "3.4.2", "3.4.3", "3.4.4", "3.4.5", "3.4.6"),
    *("3.5.1", "3.5.3", "3.7.2"),
    *("6.3.1", "6.3.2", "6.3.3", "6.5.1"),
    *("7.2.4", "7.3.1", "7.3.2", "7.4.1", "7.4.2", "7.4.5"),
    *("8.2.1", "8.2.2", "8.2.3", "9.1.2", "9.1.3", "9.2.1", "9.2.2", "9.2.3"),
    *("10.1.2", "10.3.3", "10.5.1", "10.5.3", "10.5.4", "14.3.2"),
    *("16.2.5", "16.3.1", "16.3.2", "16.4.1", "16.5.1", "16.5.3"),
}
"""Of ASVS 5.0.0, level 2 and some of level 3: what concerns a service like this one."""


def test_each_item_is_held_by_tests_that_there_are_or_said_not_to_be() -> None:
    page = (ROOT / "docs/security.md").read_text()
    held, _, not_held = page.partition("## ASVS 5.0")[2].partition("Not held yet")
    row = re.compile(r"^\| ([0-9]+(?:\.[0-9]+)+) \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)
    rows, missing = row.findall(held), row.findall(not_held)
    items = [item for item, _ in rows + missing]
    assert len(items) == len(set(items))
    assert set(items) >= ITEMS
    for item, tests in rows:
        named = re.findall(r"`(tests/\w+\.py)::(\w+)`", tests)
        assert named, item
        for path, name in named:
            assert f"def {name}(" in (ROOT / path).read_text(), f"{item}: {path}::{name}"
