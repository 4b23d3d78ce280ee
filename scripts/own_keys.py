"""The keys of the embedded database's encrypted columns, where the environment names none."""

from __future__ import annotations

import base64
import contextlib
import os
from pathlib import Path

NAME = "encryption-keys"


def own_keys(var: Path) -> str:
    """ENCRYPTION_KEYS of this VAR_DIR: made at random once, and kept beside the database, which
    can't be read without them."""
    path = var / NAME
    if not path.exists():
        made = path.with_suffix(f".{os.getpid()}")
        with open(made, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(f"k1:{base64.b64encode(os.urandom(32)).decode()}\n")
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(made)  # whole, and only if nobody was first
        made.unlink()
    return path.read_text().strip()
