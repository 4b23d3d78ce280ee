"""What must be true before anything starts. Each thing that is not is one plain line."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from payment_service import config, read_settings
from payment_service.config import kinds, reading
from payment_service.config.reading import is_set
from payment_service.sandbox import settings as sandbox
from scripts import databases
from scripts.own_keys import own_keys, own_lookup_key, own_secret
from scripts.world import keeps_pages, payers_way, unset

ROOT = Path(__file__).resolve().parents[1]
FREE_BYTES = 500_000_000  # a cluster, its log and room to work


class Refused(Exception):
    """It can't run here and now. The message is one plain line."""


@dataclass(frozen=True)
class Place:
    """Where the embedded servers and the logs live."""

    var_dir: str = reading.setting(kinds.FOLDER, str(ROOT / "var"))


def check_settings() -> dict[str, int]:
    """Looks at the settings of all that will run, before anything does, as the service will see
    them: with what is put into its environment later. Returns the ports.

    Raises BadSettings, naming every variable that is missing or wrong.
    """
    service, outside, _ = reading.all_of(
        partial(read_settings, **_later()), sandbox.read_settings, partial(reading.load, Place)
    )
    ports = {"SERVICE_PORT": service.service_port, "SANDBOX_PORT": outside.sandbox_port}
    if outside.sandbox_swish_port is not None:
        ports["SANDBOX_SWISH_PORT"] = outside.sandbox_swish_port
    return ports


def _later() -> dict[str, str]:
    """What stands for the settings that nobody set and that others may need: an embedded server's
    address, the keys that VAR_DIR has (read_environment), the payer's way (world)."""
    later = {"SECRET_KEY": "made later"}
    if "postgres" in databases.wanted(os.environ):
        later["DATABASE_URL"] = "postgresql://127.0.0.1/payments"
        later["ENCRYPTION_KEYS"] = f"later:{'A' * 43}="
    later = unset(later)
    if keeps_pages(os.environ | later):
        ports = {
            "SERVICE_PORT": config.look()[0].service_port,
            "SANDBOX_PORT": reading.read(sandbox.SandboxSettings, os.environ)[0]["sandbox_port"],
        }
        later |= unset(payers_way(ports))
    return {name.lower(): value for name, value in later.items()}


def read_environment() -> Path:
    """Complete os.environ with defaults. Returns VAR_DIR, absolute and writable."""
    var = Path(os.environ.get("VAR_DIR") or ROOT / "var").absolute()
    try:
        var.mkdir(mode=0o700, parents=True, exist_ok=True)
        var = var.resolve()
        (var / "run.lock").touch()
    except OSError as error:
        raise Refused(f"{var} can't be written ({error.strerror}): set VAR_DIR") from error
    os.environ["VAR_DIR"] = str(var)
    os.environ.setdefault("FLASK_APP", "payment_service")
    if "postgres" in databases.wanted(os.environ):
        for name, own in (("ENCRYPTION_KEYS", own_keys), ("LOOKUP_HMAC_KEY", own_lookup_key)):
            if not is_set(name, os.environ):
                os.environ[name] = own(var)
    if not is_set("SECRET_KEY", os.environ):
        os.environ["SECRET_KEY"] = own_secret(var)
    programs = Path(sys.executable).parent
    os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return var


@contextlib.contextmanager
def locked(var: Path) -> Iterator[None]:
    """Be the only one in VAR_DIR. A record lock: it ends with us, whatever outlives us."""
    with (var / "run.lock").open("r+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = file.read().strip() or "?"
            reason = f"{var} is in use by process {holder}: stop that, or set another VAR_DIR"
            raise Refused(reason) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def check_disk(var: Path) -> None:
    free = shutil.disk_usage(var).free
    if free < FREE_BYTES:
        needed = f"{FREE_BYTES // 10**6} MB are needed"
        raise Refused(f"{var} has {free // 10**6} MB free, {needed}: set VAR_DIR")


def check_ports(ports: Mapping[str, int]) -> None:
    if len(set(ports.values())) < len(ports):
        raise Refused(f"{' and '.join(ports)} name the same port")
    for name, number in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError as error:
                reason = f"port {number} can't be had ({error.strerror}): set {name} to another"
                raise Refused(reason) from error
