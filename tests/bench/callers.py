"""Tokens of many callers, for charges that show one: signed by a key that the service has."""

from __future__ import annotations

import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

TOKENS = 2000
"""Each serves a hundred charges, so that rounds of minutes need none a second time."""
NAME = "tokens"
LIFE_SECONDS = 7200
MODULUS_BITS = 2048


def write(directory: Path) -> dict[str, str]:
    """Puts a key and tokens that are good for it there; the settings of a service that asks for
    them."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=MODULUS_BITS)
    public = directory / "public.pem"
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    until = int(time.time()) + LIFE_SECONDS
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    made = (_token(private, number, until) for number in range(TOKENS))
    (directory / NAME).write_text("".join(f"{token}\n" for token in made))
    return {"AUTH_MODE": "jwt", "JWT_PUBLIC_KEY_FILE": str(public)}


def tokens_of(directory: Path) -> Path | None:
    """The file of tokens, one a line, that were put there."""
    tokens = directory / NAME
    return tokens if tokens.exists() else None


def _token(private: bytes, number: int, until: int) -> str:
    claims = {
        "sub": f"trip-service-{number}",
        "aud": "payment-service",
        "exp": until,
        "scope": "payments:read payments:write refunds:write",
    }
    return jwt.encode(claims, private, algorithm="RS256")
