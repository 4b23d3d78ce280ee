"""PostgreSQL for root. It refuses to run as root, and the way to its files may lead through
directories that only root may enter (/root, mktemp -d).

Nobody's permissions are changed for it: it gets a user id of its own, and with it the one
capability of root that lets it walk to its files.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from payment_service.embedded.server import EmbeddedError

SPARE_UIDS = range(60578, 61184)  # systemd's table of user ids leaves these to nobody
# Bits of a capability set. Either of the first two opens directories that only root may enter.
DAC_OVERRIDE, DAC_READ_SEARCH, SETPCAP = 1 << 1, 1 << 2, 1 << 8


def account_of(data: Path) -> int | None:
    """The user id under which PostgreSQL is to run on `data`; None when it is our own."""
    import psutil

    owner = data.stat().st_uid if data.exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise EmbeddedError(f"{data} belongs to user id {owner}: run as that user")
        return None
    if shutil.which("setpriv") is None:
        raise EmbeddedError("PostgreSQL refuses root and setpriv is not here: run as another user")
    if owner:
        return owner
    processes = psutil.process_iter(["uids"])
    used = {process.info["uids"].real for process in processes if process.info["uids"]}
    spare: list[int] = [uid for uid in SPARE_UIDS if uid not in used and not named(uid)]
    return secrets.choice(spare)


def builder_of(account: int) -> int:
    """A user id with a name, which initdb alone insists on.

    It holds the cluster only while that is made, in a directory no other process of it can enter.
    """
    uid: int
    for uid in (65534, *range(1, 1000)):  # nobody, else whoever there is
        if uid != account and named(uid):
            return uid
    raise EmbeddedError("no ordinary user to set up PostgreSQL with: run as another user")


def named(uid: int) -> bool:
    import pwd  # not on every platform on which this module is imported

    with contextlib.suppress(KeyError):
        return bool(pwd.getpwuid(uid))
    return False


def acting_as(account: int | None) -> list[str]:
    """What to put before a command, so that it runs under this user id."""
    if account is None:
        return []
    bounding = Path("/proc/self/status").read_text().split("CapBnd:")[1].split()[0]
    have = int(bounding, 16)
    if not have & SETPCAP or not have & (DAC_READ_SEARCH | DAC_OVERRIDE):
        raise EmbeddedError("PostgreSQL needs capabilities that root lacks: run as another user")
    walk = "dac_read_search" if have & DAC_READ_SEARCH else "dac_override"
    # no_setuid_fixup: without it access(2), by which PostgreSQL looks for its own program, takes
    # no account of the capability.
    return [
        *("setpriv", f"--reuid={account}", f"--regid={account}", "--clear-groups"),
        *("--no-new-privs", "--securebits=+no_setuid_fixup"),
        *(f"--inh-caps=-all,+{walk}", f"--ambient-caps=-all,+{walk}"),
    ]


def give(path: Path, account: int | None) -> None:
    """Make `account` the owner of everything under `path`."""
    if account is None:
        return
    try:
        for entry in (path, *path.rglob("*")):
            os.chown(entry, account, account, follow_symlinks=False)
    except OSError as error:
        why = f"{path} can't be given to PostgreSQL ({error.strerror})"
        raise EmbeddedError(f"{why}: run as another user") from error
