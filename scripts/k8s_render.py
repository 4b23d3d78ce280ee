"""k8s/*.yaml, made from the chart with values/trial.yaml: a file for each kind of object.

python -m scripts.k8s_render [FOLDER]: needs helm on PATH. Files that no object needs any more go.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from payment_service import config
from payment_service.config import kinds, other_names
from payment_service.sandbox.settings import SandboxSettings

ROOT = Path(__file__).resolve().parents[1]
K8S = ROOT / "k8s"
CHART = K8S / "chart"
FILES = {"rules.yaml", "grafana-dashboard.json"}
SECRET = "secret-settings.txt"
SCHEMA = "values.schema.json"
HEAD = "# Made by `make k8s-render` from k8s/chart with k8s/values/trial.yaml; change those.\n"
KUBERNETES = "1.30.0"
"""Any that the chart takes: helm by itself would render for a very old one."""
SHORT = {
    "PersistentVolumeClaim": "pvc",
    "HorizontalPodAutoscaler": "hpa",
    "PodDisruptionBudget": "pdb",
}


def copy_files() -> None:
    """The rules, the dashboard and which settings are secret, into the chart: Helm reads no file
    from outside of it."""
    (CHART / "files").mkdir(exist_ok=True)
    for name in FILES:
        shutil.copyfile(K8S / "monitoring" / name, CHART / "files" / name)
    (CHART / "files" / SECRET).write_text("\n".join(secret_settings()) + "\n")
    (CHART / SCHEMA).write_text(json.dumps(values_schema(), indent=2) + "\n")


def secret_settings() -> list[str]:
    """The names of settings that no ConfigMap may hold. An address over HTTP may have a password in
    it, and seldom has one: the chart takes those."""
    tables = (config.Settings, config.Parts, SandboxSettings)
    fields = {field.name.upper(): field for table in tables for field in dataclasses.fields(table)}
    addresses = (kinds.HTTP_URL, kinds.DOCUMENT_URL)
    return sorted(
        name
        for name, field in fields.items()
        if field.metadata["kind"].metadata.get("secret") and field.metadata["kind"] not in addresses
    )


def values_schema() -> dict[str, Any]:
    """Which values there are, after values.yaml: helm refuses all others. What Kubernetes knows
    itself, and what is an empty map or a list there, is free. Of settings their names are known,
    and those that OpenTelemetry and libpq read."""
    names = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    known = {"enum": sorted({*names, *other_names.SECOND})}
    settings = {"anyOf": [known, {"pattern": "^(OTEL|PG)"}]}
    schema = _shape(yaml.safe_load((CHART / "values.yaml").read_text()))
    schema["properties"]["settings"] = {"type": "object", "propertyNames": settings}
    schema["properties"]["global"] = {}  # Helm's own
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}


def _shape(value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {}
    properties = {
        name: {} if name in ("annotations", "labels", "resources") else _shape(inner)
        for name, inner in value.items()
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def rendered() -> dict[str, str]:
    """The files' texts by their names. Raises SystemExit with what helm says."""
    values = ["-f", str(K8S / "values" / "trial.yaml"), "-n", "ride-hailing"]
    command = ["helm", "template", "payment-service", str(CHART), "--kube-version", KUBERNETES]
    done = subprocess.run([*command, *values], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"k8s-render: {done.stderr.strip()}")
    files: dict[str, str] = {}
    for document in done.stdout.split("\n---\n"):
        body = "\n".join(
            line for line in document.splitlines() if not re.match(r"---$|# Source: ", line)
        ).strip()
        if not (kind := re.search(r"^kind: (\w+)$", body, re.MULTILINE)):
            continue
        name = f"{SHORT.get(kind[1], kind[1].lower())}.yaml"
        files[name] = files.get(name, HEAD) + f"---\n{body}\n"
    return files


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0]) if arguments else K8S
    if shutil.which("helm") is None:
        print("k8s-render: helm is missing", file=sys.stderr)
        return 1
    copy_files()
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.yaml"):
        if old.read_text().startswith(HEAD):
            old.unlink()
    for name, text in rendered().items():
        (folder / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
