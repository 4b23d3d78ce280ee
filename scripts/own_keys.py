"""Keys of a VAR_DIR, where the environment names none: made at random once, and kept."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
from pathlib import Path


def own_keys(var: Path) -> str:
    """ENCRYPTION_KEYS of the embedded database, which can't be read without them."""
    return _kept(var / "encryption-keys", f"k1:{base64.b64encode(os.urandom(32)).decode()}")


def own_secret(var: Path) -> str:
    """SECRET_KEY. The same after each start, as the audit log tells settings apart by it."""
    return _kept(var / "secret-key", secrets.token_urlsafe(32))


def own_lookup_key(var: Path) -> str:
    """LOOKUP_HMAC_KEY of the embedded database, whose rows are found by it."""
    return _kept(var / "lookup-key", secrets.token_urlsafe(32))


def own_callback_secret(var: Path) -> str:
    """SWISH_CALLBACK_SECRET."""
    return _kept(var / "swish" / "callback-secret", secrets.token_urlsafe(32))


def _kept(path: Path, new: str) -> str:
    """What the file holds; `new` if there was none."""
    if not path.exists():
        made = path.with_suffix(f".{os.getpid()}")
        with open(made, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(f"{new}\n")
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(made)  # whole, and only if nobody was first
        made.unlink()
    return path.read_text().strip()
