"""Each alert is quiet before and fires after, has its paragraph, and asks for what there is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import make_dashboard
from tests.alert_stories import STORIES, Story
from tests.fixtures import MakeApp
from tests.promql_names import DASHBOARD, MONITORING, RULES, expressions, names, panels, rules
from tests.sandbox_server import ROOT

RUNBOOK = ROOT / "docs" / "runbook.md"
OF_OTHERS = {
    "up": "Prometheus itself says whether it could scrape",
    "kube_pod_container_status_restarts_total": "kube-state-metrics says it of every pod",
}
"""Metrics that are not ours."""
HEADINGS = ("**For riders:**", "**Look at:**", "**Do:**", "**Never:**")


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("promtool") is None:
        why = "promtool is in Debian's package prometheus"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True)


def unit_test(rule: dict[str, Any], story: Story) -> dict[str, Any]:
    """As promtool reads it. It compares all labels and annotations, to the letter."""
    alert = {
        "exp_labels": rule["labels"] | story.labels,
        "exp_annotations": rule["annotations"],
    }
    series = [{"series": name, "values": values} for name, values in story.series.items()]
    moments = ((story.quiet, []), (story.fires, [alert]))
    asked = [
        {"eval_time": f"{minutes}m", "alertname": rule["alert"], "exp_alerts": expected}
        for minutes, expected in moments
    ]
    return {"interval": "1m", "input_series": series, "alert_rule_test": asked}


def written(folder: Path, tests: list[dict[str, Any]], rule_file: Path = RULES) -> str:
    path = folder / "story.yaml"
    told = {"rule_files": [str(rule_file)], "evaluation_interval": "1m", "tests": tests}
    path.write_text(yaml.safe_dump(told))
    return str(path)


def test_prometheus_takes_rules_and_configuration() -> None:
    for command in (["rules", str(RULES)], ["config", str(MONITORING / "prometheus.yml")]):
        done = promtool("check", *command)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_story() -> None:
    assert {rule["alert"] for rule in rules()} == STORIES.keys()


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_is_quiet_before_and_fires_after(rule: dict[str, Any], tmp_path: Path) -> None:
    tests = [unit_test(rule, story) for story in STORIES[rule["alert"]]]
    done = promtool("test", "rules", written(tmp_path, tests))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_that_never_fires_is_found(rule: dict[str, Any], tmp_path: Path) -> None:
    """What the stories are worth: the same rule, with nothing that it could be true of."""
    dead = tmp_path / "rules.yaml"
    never = {**rule, "expr": f"({rule['expr']}) and vector(1) < 0"}
    dead.write_text(yaml.safe_dump({"groups": [{"name": "dead", "rules": [never]}]}))
    tests = [unit_test(rule, story) for story in STORIES[rule["alert"]]]
    done = promtool("test", "rules", written(tmp_path, tests, dead))
    assert done.returncode != 0
    assert "FAILED" in done.stdout + done.stderr


def test_every_alert_has_its_paragraph_and_every_paragraph_its_alert() -> None:
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK.read_text(), re.M | re.S))
    assert sections.keys() == {rule["alert"] for rule in rules()}
    for rule in rules():
        told = sections[rule["alert"]]
        places = [told.index(heading) for heading in HEADINGS]
        assert all(a < b for a, b in pairwise(places)), rule["alert"]
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_a_panel_that_the_runbook_names_is_there() -> None:
    titles = {panel["title"] for panel in panels()}
    said = re.findall(r"panels? ((?:\"[^\"]+\"(?:, | and )?)+)", RUNBOOK.read_text())
    wanted = {title for group in said for title in re.findall(r'"([^"]+)"', group)}
    assert wanted
    assert wanted <= titles


def test_every_metric_that_is_asked_for_is_in_metrics(make_app: MakeApp) -> None:
    """A labelled counter that nothing was counted in yet has its TYPE line here all the same."""
    told = make_app().test_client().get("/metrics").text
    there = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\w+)$", told, re.M):
        parts = ("_bucket", "_count", "_sum") if kind == "histogram" else ("",)
        there |= {name + part for part in parts}
    asked = {rule["alert"]: rule["expr"] for rule in rules()} | expressions("1m")
    missing = {
        f"{where}: {name}"
        for where, expression in asked.items()
        for name in names(expression)
        if name not in there and name not in OF_OTHERS
    }
    assert missing == set()


def test_names_are_found_wherever_they_stand() -> None:
    deep = (
        "sum by (x) (rate(a_total[5m])) / (b > 0) or max_over_time(c[1h:1m]) - time() + topk(3, -d)"
    )
    assert names(deep) == {"a_total", "b", "c", "d"}


def test_the_dashboard_is_fresh() -> None:
    assert DASHBOARD.read_text() == make_dashboard.text(), "python -m scripts.make_dashboard"


def test_the_dashboard_has_a_shape_that_grafana_takes() -> None:
    found = json.loads(DASHBOARD.read_text())
    assert [one["type"] for one in found["templating"]["list"]] == ["datasource"]
    ids = [panel["id"] for panel in found["panels"]]
    assert len(ids) == len(set(ids))
    titles = [panel["title"] for panel in panels()]
    assert len(titles) == len(set(titles))
    taken: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in panels():
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert target["legendFormat"]
