"""What a campaign did and found: as text for people, as JSON for machines."""

from __future__ import annotations

import json
import platform
from collections import Counter
from pathlib import Path
from typing import Any

from tests.campaign.boundaries import BOUNDARIES
from tests.campaign.faulty import MONEY
from tests.campaign.invariants import Verdict

SHOWN = 5
"""Of what breaks an invariant the first few are shown; report.json has more."""


def written(path: Path, report: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2, default=str) + "\n")


def as_json(
    *,
    seed: int,
    seconds: float,
    took: float,
    versions: dict[str, str],
    not_tried: list[str],
    killed: Counter[tuple[str, str]],
    counts: dict[str, Counter[str]],
    verdicts: list[Verdict],
    empty: list[str],
) -> dict[str, Any]:
    """The report under plain names, for machines."""
    return {
        "seed": seed,
        "seconds": seconds,
        "took_seconds": round(took, 1),
        "python": platform.python_version(),
        "versions": versions,
        "not_tried": not_tried,
        "kills": {
            boundary: {verb: killed[boundary, verb] for verb in MONEY} for boundary in BOUNDARIES
        },
        "empty_cells": empty,
        **{name: dict(sorted(counter.items())) for name, counter in counts.items()},
        "invariants": [
            {
                "name": verdict.name,
                "checked": verdict.checked,
                "broken": len(verdict.broken),
                "examples": verdict.broken[:50],
            }
            for verdict in verdicts
        ],
    }


def empty_cells(killed: Counter[tuple[str, str]]) -> list[str]:
    """Boundaries of verbs at which nothing was killed."""
    return [
        f"{boundary}, {verb}"
        for boundary in BOUNDARIES
        for verb in MONEY
        if not killed[boundary, verb]
    ]


def as_text(report: dict[str, Any]) -> str:
    """The report as lines of text, for people."""
    lines = ["", "kills on purpose       " + "".join(f"{verb:>11}" for verb in MONEY)]
    for boundary, row in report["kills"].items():
        lines.append(f"{boundary:<23}" + "".join(f"{row[verb]:>11}" for verb in MONEY))
    for name in ("how", "missed", "blows", "requests", "answers", "payers", "webhooks"):
        lines += ["", f"{name}:", *_columns(report[name])]
    lines += ["", *_faults(report["faults_met"], report["faults_armed"])]
    lines += ["", *_faults_elsewhere(report["faults_met"], report["faults_armed"])]
    lines += [f"not tried: {what}" for what in report["not_tried"]]
    lines += ["", "invariants:"]
    for verdict in report["invariants"]:
        word = "BROKEN" if verdict["broken"] else "holds "
        lines.append(f"  {word}  {verdict['name']}  ({verdict['checked']} checked)")
        lines += [f"          {example}" for example in verdict["examples"][:SHOWN]]
        if verdict["broken"] > SHOWN:
            lines.append(f"          and {verdict['broken'] - SHOWN} more")
    if report["empty_cells"]:
        lines += ["", "no kill at: " + "; ".join(report["empty_cells"])]
    return "\n".join(lines)


def _columns(counts: dict[str, int]) -> list[str]:
    return [f"  {count:>6}  {what}" for what, count in counts.items()]


def _faults(met: dict[str, int], armed: dict[str, int]) -> list[str]:
    """One line a fault: by verb, how often it was met, of how often it was armed."""
    by_fault: dict[str, list[str]] = {}
    for what, count in armed.items():
        operation, fault = what.split(" ", 1)
        if operation in (*MONEY, "lookup"):
            by_fault.setdefault(fault, []).append(f"{operation} {met.get(what, 0)}/{count}")
    return ["faults of the provider, met/armed:"] + [
        f"  {fault:<21} {', '.join(sorted(rows))}" for fault, rows in sorted(by_fault.items())
    ]


def _faults_elsewhere(met: dict[str, int], armed: dict[str, int]) -> list[str]:
    """One line for each of the other providers: of each operation, how many faults it met."""
    found: dict[str, Counter[str]] = {}
    for what, count in armed.items():
        of, colon, rest = what.partition(":")
        if colon:
            operation = rest.split(" ", 1)[0]
            counts = found.setdefault(of, Counter())
            counts[f"{operation} met"] += met.get(what, 0)
            counts[operation] += count
    lines = ["faults of the other providers, met/armed:"]
    for of, counts in sorted(found.items()):
        operations = [name for name in counts if not name.endswith(" met")]
        told = [f"{name} {counts[f'{name} met']}/{counts[name]}" for name in sorted(operations)]
        lines.append(f"  {of:<21} {', '.join(told)}")
    return lines
