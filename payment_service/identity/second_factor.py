"""The second factor: codes of an app that change each 30 s (TOTP), and recovery codes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

import pyotp
import segno

STEP_SECONDS = 30
"""What every app takes; others are ignored by some."""
_NEAR = (0, -1, 1)
"""Steps that are taken: a clock may be half a minute off."""

ISSUER = "Payments"
"""The name under which apps list it."""

RECOVERY_CODES = 10
_RECOVERY_BYTES = 15
"""120 random bits, so that a plain SHA-256 keeps them: of codes under 112 bits ASVS wants more."""


def new_secret() -> str:
    """160 random bits in base32, as apps take them."""
    return pyotp.random_base32()


def qr_code(secret: str, *, name: str) -> str:
    """What apps scan, as an SVG without a size and without styles, so that any Content-Security-
    Policy lets it be shown."""
    uri = pyotp.TOTP(secret, interval=STEP_SECONDS).provisioning_uri(name=name, issuer_name=ISSUER)
    return segno.make(uri, error="m", micro=False).svg_inline(light="#fff", omitsize=True)


def step_of(secret: str, code: str, *, at: float) -> int | None:
    """The step (30 s since 1970) whose code this is, if it is near the Unix time `at`."""
    digits = "".join(code.split())
    app = pyotp.TOTP(secret, interval=STEP_SECONDS)
    now = int(at) // STEP_SECONDS
    same = (
        now + off
        for off in _NEAR
        if hmac.compare_digest(
            app.generate_otp(now + off).encode(), digits.encode("utf-8", "replace")
        )
    )
    return next(same, None)


def new_recovery_codes() -> list[str]:
    """Each in six groups of four letters and digits, good once."""
    texts = (base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)) for _ in range(RECOVERY_CODES))
    return ["-".join(text[at : at + 4].decode() for at in range(0, 24, 4)) for text in texts]


def recovery_hash(code: str) -> bytes:
    """What is kept of a recovery code, however it was typed."""
    plain = "".join(letter for letter in code.upper() if letter.isalnum())
    return hashlib.sha256(plain.encode()).digest()
