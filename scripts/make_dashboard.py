"""k8s/monitoring/grafana-dashboard.json, made from scripts/dashboard_panels.py.

python -m scripts.make_dashboard            write it
python -m scripts.make_dashboard --check    fail if it is not what would be written
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from scripts.dashboard_panels import SECTIONS, Panel

TARGET = Path(__file__).resolve().parents[1] / "k8s/monitoring/grafana-dashboard.json"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT, COLUMNS = 8, 8, 3


def dashboard() -> dict[str, Any]:
    """The whole of it, as Grafana imports it."""
    return {
        "uid": "payment-service",
        "title": "Payment service",
        "tags": ["payments"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Data source",
                    "type": "datasource",
                    "query": "prometheus",
                    "current": {},
                    "hide": 0,
                }
            ]
        },
        "panels": _panels(),
    }


def _panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    top = 0
    for title, panels in SECTIONS:
        place = {"x": 0, "y": top, "w": WIDTH * COLUMNS, "h": 1}
        found.append(
            {
                "id": len(found) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": place,
                "panels": [],
            }
        )
        top += 1
        for number, panel in enumerate(panels):
            row, column = divmod(number, COLUMNS)
            place = {"x": column * WIDTH, "y": top + row * HEIGHT, "w": WIDTH, "h": HEIGHT}
            found.append(_drawn(panel, len(found) + 1, place))
        top += HEIGHT * -(-len(panels) // COLUMNS)
    return found


def _drawn(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.told,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {
                "refId": chr(ord("A") + place_of),
                "datasource": DATASOURCE,
                "expr": expression,
                "legendFormat": legend,
            }
            for place_of, (expression, legend) in enumerate(panel.queries)
        ],
    }


def text() -> str:
    """The file's text."""
    return json.dumps(dashboard(), indent=2) + "\n"


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        if TARGET.read_text() != text():
            print("the dashboard is stale: python -m scripts.make_dashboard", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
