"""What makes a path one that can be used."""

from __future__ import annotations

import os
from pathlib import Path


def is_secrets_folder(value: str) -> bool:
    """Whether it is a folder that can be looked into."""
    return Path(value).is_dir() and os.access(value, os.R_OK | os.X_OK)


def is_readable(value: str) -> bool:
    """Whether it is a file that can be read."""
    return Path(value).is_file() and os.access(value, os.R_OK)


def is_folder(value: str | Path) -> bool:
    """Whether the folder is there or could be made."""
    path = Path(value).absolute()
    nearest = next(one for one in (path, *path.parents) if one.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def is_file(value: str) -> bool:
    """Whether the file is there or could be made, together with its folder."""
    path = Path(value).absolute()
    if path.exists():
        return path.is_file() and os.access(path, os.W_OK)
    return is_folder(path.parent)
