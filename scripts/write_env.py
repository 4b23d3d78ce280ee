"""Writes .env, from which docker-compose.yml has its secrets: random ones, never over one that is
there.

python -m scripts.write_env [FILE]
"""

from __future__ import annotations

import os
import secrets
import sys
from base64 import b64encode
from pathlib import Path

NAMES = ("DB_PASS", "REDIS_PASSWORD", "RABBITMQ_PASSWORD", "GRAFANA_PASSWORD", "JWT_SECRET")
HEAD = """\
# Secrets of docker-compose.yml, made once by `make setup`. Keep them: PostgreSQL and RabbitMQ have
# written theirs into their volumes. `make run` and the tests do not read this file.
"""


def lines() -> list[str]:
    """One random value for each; hexadecimal ones need no quotes anywhere, URLs included."""
    values = {name: secrets.token_hex(24) for name in NAMES}
    values |= {name: secrets.token_hex(32) for name in ("SECRET_KEY", "LOOKUP_HMAC_KEY")}
    values["ENCRYPTION_KEYS"] = f"k1:{b64encode(secrets.token_bytes(32)).decode()}"
    return [f"{name}={value}" for name, value in values.items()]


def write(file: Path) -> bool:
    """Whether it wrote anything, for its owner's eyes only. What stands in a file of ours stays;
    what a later version needs besides is put behind it. Another file stays as it is."""
    try:
        made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _add(file)
    with os.fdopen(made, "w") as opened:
        opened.write(HEAD + "\n".join(lines()) + "\n")
    return True


def _add(file: Path) -> bool:
    there = file.read_text().splitlines()
    names = {line.partition("=")[0].strip() for line in there}
    later = [line for line in lines() if line.partition("=")[0] not in names]
    if there[:1] != HEAD.splitlines()[:1] or not later:
        return False
    with file.open("a") as opened:
        opened.write("".join(f"{line}\n" for line in later))
    return True


def main(arguments: list[str]) -> int:
    file = Path(arguments[0] if arguments else ".env")
    if write(file):
        print(f"setup: wrote {file}, with random secrets for docker-compose.yml")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
