"""What ships for Kubernetes, as far as files alone say it; `make k8s-check` asks a real API."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from payment_service import config
from payment_service.sandbox import settings as sandbox_settings
from payment_service.version import VERSION
from scripts import k8s_render

ROOT = Path(__file__).resolve().parents[1]
K8S = ROOT / "k8s"
VALUES = sorted(K8S.glob("values/*.yaml"))
CHART = K8S / "chart"
TABLES = (config.Settings, config.Parts, sandbox_settings.SandboxSettings)
SETTINGS = {field.name.upper() for table in TABLES for field in dataclasses.fields(table)}
SECRET = set(k8s_render.secret_settings())


def objects() -> Iterator[dict[str, Any]]:
    for file in K8S.glob("*.yaml"):
        yield from (found for found in yaml.safe_load_all(file.read_text()) if found)


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for found in objects():
        spec = found.get("spec", {})
        if "jobTemplate" in spec:
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec:
            yield f"{found['kind']} {found['metadata']['name']}", spec["template"]["spec"]


def test_the_version_is_the_services() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == VERSION


def test_what_a_kubectl_apply_brings() -> None:
    kinds_found = {found["kind"] for found in objects()}
    assert kinds_found >= {
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "Job",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
        "StatefulSet",
    }


def test_each_container_has_limits_and_a_version() -> None:
    count = 0
    for name, pod in pods():
        for container in pod["containers"]:
            count += 1
            assert set(container["resources"]["limits"]) == {"cpu", "memory"}, name
            _, _, tag = container["image"].rpartition(":")
            assert re.match(r"[0-9]", tag), name
    assert count >= 6


def test_each_pod_is_restricted() -> None:
    for name, pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name


@pytest.mark.parametrize("file", [CHART / "values.yaml", *VALUES], ids=lambda file: file.stem)
def test_settings_are_known_and_none_is_secret(file: Path) -> None:
    named = (yaml.safe_load(file.read_text()).get("settings") or {}).keys()
    assert named <= SETTINGS
    assert not named & SECRET


def test_no_secret_is_in_a_config_map() -> None:
    for found in objects():
        if found["kind"] == "ConfigMap":
            assert not found["data"].keys() & SECRET
            assert found["data"].keys() <= SETTINGS


def test_secrets_have_the_names_of_settings() -> None:
    example = yaml.safe_load((K8S / "secrets-example.yaml").read_text())
    vault = yaml.safe_load((CHART / "values.yaml").read_text())["keyVault"]["objects"]
    names = {*example["stringData"], *(found["alias"] for found in vault)}
    assert names <= SECRET
    in_script = (ROOT / "scripts/setup-keyvault.sh").read_text()
    assert all(f"put {found['name']} " in in_script for found in vault)


def test_the_example_overwrites_no_secret() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    example = yaml.safe_load((K8S / "secrets-example.yaml").read_text())
    assert example["metadata"]["name"] != values["secretName"]


def test_production_names_its_providers() -> None:
    values = yaml.safe_load((K8S / "values/production.yaml").read_text())
    assert "sandbox" not in values["settings"]["PROVIDER_ROUTES"]


def test_the_chart_has_the_rules_and_the_dashboard() -> None:
    for name in ("rules.yaml", "grafana-dashboard.json"):
        copied = (CHART / "files" / name).read_bytes()
        assert copied == (K8S / "monitoring" / name).read_bytes(), "make k8s-render"


def test_the_image_has_the_python_of_the_suite() -> None:
    """One that the suite ran on: what pyproject.toml says is the least."""
    least = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["python_version"]
    assert f"ARG BASE=python:{least}" in (ROOT / "Dockerfile").read_text()


def test_the_chart_s_schema_is_made_of_its_values_and_the_settings() -> None:
    kept = json.loads((CHART / k8s_render.SCHEMA).read_text())
    assert kept == k8s_render.values_schema()
    names = set(kept["properties"]["settings"]["propertyNames"]["anyOf"][0]["enum"])
    assert names >= SETTINGS
    assert kept["properties"]["backup"]["additionalProperties"] is False


def test_the_backup_s_alert_has_the_hours_that_the_chart_replaces() -> None:
    assert "> 8 * 3600" in (CHART / "files" / "rules.yaml").read_text()
