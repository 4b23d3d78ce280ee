"""The keys of the identity service: one that signs, and the one before, which is still served."""

from __future__ import annotations

import threading
import time
from secrets import token_hex
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

SERVED = 2
"""The one that signs and the one before, so that tokens outlive one rotation."""


class SigningKeys:
    """RSA keys, newest first. They are made when they are first asked for, and end with the
    process: tokens don't outlive it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: list[tuple[str, rsa.RSAPrivateKey]] = []

    def rotate(self, *, withdraw: bool = False) -> list[str]:
        """A new key signs from now on; the names of those that are served. With `withdraw` it is
        the only one."""
        made = (token_hex(4), rsa.generate_private_key(public_exponent=65537, key_size=2048))
        with self._lock:
            self._keys = [made, *([] if withdraw else self._keys)][:SERVED]
            return [kid for kid, _ in self._keys]

    def served(self) -> list[dict[str, Any]]:
        """As JWKs. One for encryption comes first, as at Keycloak: whoever takes the first is
        wrong."""
        found = [
            {**_public(key), "kid": kid, "use": "sig", "alg": "RS256"}
            for kid, key in self._current()
        ]
        return [{**found[0], "kid": "encryption", "use": "enc", "alg": "RSA-OAEP"}, *found]

    def sign(self, claims: dict[str, Any], seconds: int, *, kind: str = "at+jwt") -> str:
        """A token of that `typ` with these claims, its times, and the newest key's name."""
        kid, key = self._current()[0]
        now = int(time.time())
        whole = {**claims, "iat": now, "exp": now + seconds, "jti": token_hex(8)}
        return jwt.encode(whole, key, algorithm="RS256", headers={"kid": kid, "typ": kind})

    def _current(self) -> list[tuple[str, rsa.RSAPrivateKey]]:
        if not self._keys:
            self.rotate()
        with self._lock:
            return list(self._keys)


def _public(key: rsa.RSAPrivateKey) -> dict[str, Any]:
    whole = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {name: whole[name] for name in ("kty", "n", "e")}
