"""Reads a table of settings from the environment. What is wrong is gathered, not raised one by one.

No message repeats a value: it may be a secret, or a secret that was put into the wrong variable.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from marshmallow import ValidationError, fields

from payment_service.config import other_names

LONGEST = 65536
"""Characters of a value from a file. Secrets are short; /dev/zero has no end."""

Table = TypeVar("Table")

Faults = dict[str, list[str]]
"""What is missing or wrong, by the name of its variable."""


class BadSettings(SystemExit):
    """The environment does not describe a service that can run; the message lists all faults."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(explain(faults))
        self.faults = faults


def explain(faults: Faults) -> str:
    """A line for each variable."""
    lines = [f"  {name}: {'; '.join(messages)}" for name, messages in faults.items()]
    return "\n".join(["These settings of the environment are missing or wrong:", *lines])


def setting(kind: fields.Field, default: Any) -> Any:
    """A line of a table: what its text is read as, and what stands where nothing is set.

    The variable has the field's name in capitals. What may hold a secret is in no repr.
    """
    secret = kind.metadata.get("secret", False)
    return dataclasses.field(repr=not secret, metadata={"kind": kind, "default": default})


def read(
    table: type, environ: Mapping[str, str], overrides: Mapping[str, Any] = MappingProxyType({})
) -> tuple[dict[str, Any], Faults]:
    """The values of a table (a dataclass of `setting`s), defaults where one is missing or wrong."""
    values: dict[str, Any] = {}
    faults: Faults = {}
    for field in dataclasses.fields(table):
        name, values[field.name] = field.name.upper(), field.metadata["default"]
        try:
            if field.name in overrides:
                values[field.name] = overrides[field.name]
            elif text := _text_of(name, environ, lines=hasattr(field.metadata["kind"], "lines")):
                values[field.name] = field.metadata["kind"].deserialize(text, field.name, values)
        except ValidationError as error:
            faults[name] = [str(message) for message in error.messages]
    return values, faults


def load(table: type[Table], environ: Mapping[str, str] = os.environ) -> Table:
    """A whole table. Raises BadSettings, naming all that is wrong."""
    values, faults = read(table, environ)
    if faults:
        raise BadSettings(faults)
    return table(**values)


def all_of(*readers: Callable[[], Any]) -> list[Any]:
    """What each reader gives. Raises BadSettings for all of them at once."""
    found: list[Any] = []
    faults: Faults = {}
    for reader in readers:
        try:
            found.append(reader())
        except BadSettings as error:
            faults |= error.faults
    if faults:
        raise BadSettings(faults)
    return found


def is_set(name: str, environ: Mapping[str, str]) -> bool:
    """Whether the variable is set, by itself or by a file."""
    keys = (name, f"{name}_FILE", *other_names.of(name))
    named = any(environ.get(key, "").strip() for key in keys)
    in_folder = _in_secrets_dir(name, environ)
    return named or (in_folder is not None and in_folder.exists())


def _text_of(name: str, environ: Mapping[str, str], *, lines: bool) -> str:
    """What the environment says under the name or a second one of it, or a file: the one that
    NAME_FILE names, or NAME in SECRETS_DIR. "" if nobody says anything.

    An empty variable is the same as one that is not set, so that `NAME=` turns a setting off
    wherever it was set before. A file that is empty is a secret that got lost. Only what has
    `lines` may have several.
    """
    text, path = (environ.get(key, "").strip() for key in (name, f"{name}_FILE"))
    said = {name: text} if text else {}
    for second, convert in other_names.of(name).items():
        if value := environ.get(second, "").strip():
            said[second] = convert(value)
    if path:
        said[f"{name}_FILE"] = _of_file(Path(path), f"the file that {name}_FILE names")
    in_folder = _in_secrets_dir(name, environ)
    if in_folder is not None and in_folder.exists():
        said["SECRETS_DIR"] = _of_file(in_folder, f"the file {name} in SECRETS_DIR")
    if len(set(said.values())) > 1:
        first, *others = said
        raise ValidationError(f"{first} and {' and '.join(others)} differ; set one of them")
    text = next(iter(said.values()), "")
    line = text.replace("\r", "").replace("\n", "") if lines else text
    if not line.isprintable():
        raise ValidationError("must be one line of UTF-8 text without control characters")
    return text


def _in_secrets_dir(name: str, environ: Mapping[str, str]) -> Path | None:
    """Where the setting's file would be. None without a SECRETS_DIR that is a folder: whether it is
    one is told of the setting itself."""
    folder = environ.get("SECRETS_DIR", "").strip()
    return Path(folder, name) if name != "SECRETS_DIR" and os.path.isdir(folder) else None  # noqa: PTH112 - Path.is_dir raises for some names


def _of_file(path: Path, called: str) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            # A secret's file ends in a new line more often than not, which is no part of it.
            text = file.read(LONGEST).strip()
    except (OSError, ValueError):
        raise ValidationError(f"{called} can't be read") from None
    if not text:
        raise ValidationError(f"{called} is empty")
    return text
