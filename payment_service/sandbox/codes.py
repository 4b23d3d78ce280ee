"""The codes of the identity service: each stands for a person who was picked, and works once."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Any

SECONDS = 60
"""For which a code is good."""
MOST = 1000
"""Codes that are kept; the oldest go first."""


@dataclass(frozen=True)
class Picked:
    """Who was picked, and what the token will have to say about it."""

    client_id: str
    redirect_uri: str
    challenge: str
    nonce: str | None
    subject: str
    roles: tuple[str, ...]
    at: int

    def claims(self) -> dict[str, Any]:
        """As an ID token has them, but for its issuer and times."""
        return {
            "sub": self.subject,
            "aud": self.client_id,
            "azp": self.client_id,
            "typ": "ID",
            "auth_time": self.at,
            "email": f"{self.subject}@example.com",
            "name": self.subject.capitalize(),
            "roles": list(self.roles),
            **({"nonce": self.nonce} if self.nonce else {}),
        }


class Codes:
    """Each works once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._picked: dict[str, Picked] = {}

    def give(self, picked: Picked) -> str:
        """A code for it."""
        code = token_urlsafe(24)
        with self._lock:
            if len(self._picked) >= MOST:
                del self._picked[next(iter(self._picked))]
            self._picked[code] = picked
        return code

    def take(self, code: str, *, client_id: str, redirect_uri: str, verifier: str) -> Picked | None:
        """What it stands for, if these are those it was given for."""
        with self._lock:
            picked = self._picked.pop(code, None)
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if picked is None or time.time() > picked.at + SECONDS:
            return None
        same = (picked.client_id, picked.redirect_uri, picked.challenge)
        return picked if same == (client_id, redirect_uri, challenge) else None
