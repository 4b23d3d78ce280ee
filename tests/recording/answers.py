"""A run's answers as text: what differs from run to run is named, all else is there as it came."""

from __future__ import annotations

import json
import re
import tempfile
from typing import Any

import pypdf
import requests

from tests.patience import PATIENCE
from tests.whole_service import Addresses

# Said of the connection or of the moment.
UNTOLD = {"date", "x-request-id", "content-length", "connection", "server", "keep-alive"}

NAMED = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?"
    r"|\b\d{1,2}:\d\d(?: [ap]m)?\b)"
    r"|(?P<day>\b\d{1,2} [A-Z][a-z]{2,8} 20\d\d\b|\b20\d{6}\b(?!-[0-9A-Z]{12}))"
    r'|(?P<cursor>(?<="next_cursor":")[\w-]+)'  # begins with a time
    r'|(?P<tag>(?<=ETag: ")[^"]+)'
    r"|(?P<port>(?<=127\.0\.0\.1:)\d+)"
    r"|(?P<link>(?<=/v1/pay/)\d+/[a-z2-7]{32})"  # made of each run's own SECRET_KEY
    r"|(?P<left>(?<=RateLimit-Remaining: )\d+)"  # how often a delivery was waited for counts, too
    r"|(?P<ref>(?:PAY|HIS)-?\d{8}-[0-9A-Z]{12})"
    r"|(?P<uuid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    r"|(?P<hex>\b[0-9a-f]{16,64}\b)"
    r"|(?P<psp>\b[a-z]{2,4}_[0-9a-f]{6,}\b)"
    r'|(?P<code>(?<=authorization_code":")\w+|(?<=authorization_code": ")\w+)'
    r'|(?P<id>(?<=payment_id": )\d+|(?<=payment_id":)\d+|(?<=refund_id": )\d+|(?<=refund_id":)\d+'
    r'|(?<=log_id": )\d+|(?<=log_id":)\d+|(?<=\bpayment )\d+|(?<=\brefund )\d+'
    r'|(?<="id":")\d+(?=-\d+"))'
)


class Recording:
    """One run's answers as text."""

    def __init__(self, at: Addresses) -> None:
        self.at = at
        self.parts: list[str] = []
        self._names: dict[tuple[str, str], str] = {}
        self._http = requests.Session()

    def named(self, text: str) -> str:
        """The text with a name for each id, and one word for all times."""

        def name(match: re.Match[str]) -> str:
            kind = str(match.lastgroup)
            if kind in ("time", "day", "cursor", "port", "left"):
                return f"<{kind}>"
            count = 1 + sum(known == kind for known, _ in self._names)
            return self._names.setdefault((kind, match.group()), f"<{kind} {count}>")

        return NAMED.sub(name, text)

    def add(self, title: str, text: str) -> None:
        self.parts.append(f"== {self.named(title)}\n{self.named(text)}\n")

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        key: str | None = None,
        raw: str | None = None,
        **headers: str,
    ) -> dict[str, Any]:
        """Sends it and records the answer, which it returns where that is an object."""
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            said["Idempotency-Key"] = key
        sent = raw if raw is not None else None if body is None else json.dumps(body)
        if sent is not None:
            said.setdefault("Content-Type", "application/json")
        answer = self._http.request(
            method, self.at.service + path, data=sent, headers=said, timeout=PATIENCE
        )
        kept = sorted(
            f"{name}: {', '.join(sorted(value.split(', ')))}"  # of Allow, a set
            for name, value in answer.headers.items()
            if name.lower() not in UNTOLD
        )
        shown = re.sub(r"/\d+(?=/|$|\?)", lambda found: f"/{self.known(found.group()[1:])}", path)
        self.add(
            f"{method} {shown} {said.get('Accept', '')} {key or ''} {sent or ''}",
            "\n".join([str(answer.status_code), *kept, "", _text(answer)]),
        )
        try:
            found = answer.json()
        except ValueError:
            found = None
        return found if isinstance(found, dict) else {}

    def known(self, number: str) -> str:
        """The name of an id that an answer had."""
        return self._names.get(("id", number), number)


def _text(answer: requests.Response) -> str:
    if answer.headers["Content-Type"] == "application/pdf":
        with tempfile.TemporaryFile() as file:
            file.write(answer.content)
            return "\n".join(page.extract_text() for page in pypdf.PdfReader(file).pages)
    if answer.url.endswith("/events"):  # deliveries come when they come
        told = sorted(
            answer.json()["events"],
            key=lambda one: one["what"] if one["kind"] == "delivery" else "",
        )
        events = [json.dumps(one) for one in told]
        return "\n".join([*events, json.dumps({**answer.json(), "events": "above"})])
    if answer.headers["Content-Type"].startswith("text/plain"):  # metrics: numbers differ
        return "\n".join(sorted(re.findall(r"^# .*", answer.text, re.M)))
    return answer.text
