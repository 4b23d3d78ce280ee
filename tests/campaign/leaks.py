"""Whether anything of a payer, or a secret, turns up in what the service writes down."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.campaign.dialects.dialect import NAME, PHONE

LOGS = ("web.log", "worker.log", "restore.log")

_PAYER = re.compile(
    # Networks of Sweden, Malaysia and Iraq, as dialects/ has them; then what the bank says of who
    # paid, and what a payer's app is given by Stripe.
    rf"{NAME}|(?<!\d)(?:4670|6012|96477){PHONE}\d{{4,6}}(?!\d)"
    r"|IQ00SAND|A payer of the sandbox|pi_\w+_secret_\w+",
    re.IGNORECASE,
)


def found(
    directory: Path, events: Iterable[Mapping[str, Any]], metrics: str, secrets: Iterable[str]
) -> Iterator[str]:
    """Each place where something was seen, and what the line says around it."""
    known = tuple(secrets)
    for name in LOGS:
        path = directory / name
        if path.exists():
            with path.open(errors="replace") as lines:
                for number, line in enumerate(lines, start=1):
                    yield from _seen(f"{name}, line {number}", line, known)
    for event in events:
        yield from _seen(f"event {event['seq']} of {event['payment_id']}", event["body"], known)
    yield from _seen("/metrics", metrics, known)


def _seen(where: str, text: str, secrets: Iterable[str]) -> Iterator[str]:
    if match := _PAYER.search(text):
        yield f"{where}: {text[max(0, match.start() - 60) : match.end() + 20].strip()}"
    yield from (f"{where}: a secret of the settings" for secret in secrets if secret in text)
