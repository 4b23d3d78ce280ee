"""The names of metrics in PromQL expressions, and what expressions the dashboard and the rules
have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import promql_parser
import yaml

from tests.sandbox_server import ROOT

MONITORING = ROOT / "k8s" / "monitoring"
RULES = MONITORING / "rules.yaml"
DASHBOARD = MONITORING / "grafana-dashboard.json"

_BELOW = ("lhs", "rhs", "expr", "vector_selector", "param")


def names(expression: str) -> set[str]:
    """The metrics that it asks for."""
    return set(_names(promql_parser.parse(expression)))


def _names(node: Any) -> Iterator[str]:
    if isinstance(node, promql_parser.VectorSelector):
        assert node.name, "a selector without a name asks for everything"
        yield node.name
    for attribute in _BELOW:
        if (below := getattr(node, attribute, None)) is not None:
            yield from _names(below)
    for below in getattr(node, "args", None) or ():
        yield from _names(below)


def rules() -> list[dict[str, Any]]:
    """All alerts."""
    found = yaml.safe_load(RULES.read_text())
    return [rule for group in found["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """All panels but the rows."""
    found = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def expressions(interval: str) -> dict[str, str]:
    """By panel and letter, with Grafana's variables replaced."""
    return {
        f"{panel['title']} {target['refId']}": target["expr"].replace("$__rate_interval", interval)
        for panel in panels()
        for target in panel["targets"]
    }
