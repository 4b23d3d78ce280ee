"""The code under test as a copy: an edit meanwhile would mix two versions."""

from __future__ import annotations

import shutil
from pathlib import Path

_COPIED = ("payment_service", "migrations", "scripts", "templates", "static", "seeds",
           "gunicorn.conf.py")  # fmt: skip


def copied(tree: Path, to: Path) -> Path:
    """The service's code in a place of its own, which is given back."""
    for name in _COPIED:
        source = tree / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, to / name, ignore=ignored, dirs_exist_ok=True)
        elif source.exists():
            to.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, to / name)
    return to
