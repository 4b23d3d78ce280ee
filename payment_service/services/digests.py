"""One hash over all chains as of a moment, the payments' and the audit log's: kept outside of this
database, it shows later that a whole chain is gone, or that an end was rewritten together with the
rows."""

from __future__ import annotations

import hashlib
import os
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Row, select, text

from payment_service.config import settings
from payment_service.domain.events import iso
from payment_service.extensions import db
from payment_service.services import audit_entries
from payment_service.services.audit_reading import EVENT, SEAL, legible, ranges, snapshots

log = structlog.get_logger(__name__)

SETTLED = timedelta(hours=1)
"""A day's digest waits this long after midnight. An event carries the moment at which it was
planned, and a process that was paused then, or whose clock is slow, writes it later; nothing of
ours is held up for an hour."""

LEASE = timedelta(hours=1)
"""A hundred million payments are walked in less. What a killed worker left is taken up then."""

_LINE = re.compile(r"(\S+Z) (\d+) payments (?:(\d+) acts )?sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Digest:
    """One hash over the chains of all payments, the seals of imports, and the audit log, as of
    `until`. Of before there was an audit log, `acts` is None."""

    until: datetime
    payments: int
    acts: int | None
    sha256: str

    def __str__(self) -> str:
        return f"{iso(self.until)} {self.counted()} sha256:{self.sha256}"

    def counted(self) -> str:
        """How many payments and acts it is over."""
        acts = "" if self.acts is None else f" {self.acts} acts"
        return f"{self.payments} payments{acts}"


@dataclass(frozen=True)
class AsOf:
    """The digest as of one moment, and what it was before there was an audit log."""

    whole: Digest
    payments: Digest


def digest(*, until: datetime) -> Digest:
    """The digest of all chains as they were at `until`; asked again, it is the same for ever."""
    return digests([until])[0].whole


def digests(moments: Sequence[datetime]) -> list[AsOf]:
    """As of each of these moments, which are in order, in one walk over all payments."""
    whole = [hashlib.sha256() for _ in moments]
    payments = [0] * len(moments)
    with snapshots() as connection:
        for after, upto in ranges(connection, None):
            chains = _chains(connection, after, upto)
            changes = {bisect_left(moments, at) for lines in chains for at, _ in lines}
            lines, count = b"", 0
            for place in range(len(moments)):
                if place in changes:  # else all stands as it did the moment before
                    lines, count = _as_of(chains, moments[place])
                whole[place].update(lines)
                payments[place] += count
        found = []
        for moment, count, hash_ in zip(moments, payments, whole, strict=True):
            alone = Digest(moment, count, None, hash_.hexdigest())
            acts, line = _acts(connection, moment)
            hash_.update(line)
            found.append(AsOf(Digest(moment, count, acts, hash_.hexdigest()), alone))
    return found


def _acts(connection: Connection, moment: datetime) -> tuple[int, bytes]:
    """How many acts there were then, and the line that stands for all of them."""
    last = audit_entries.last_at(connection, moment)
    if last is None:
        return 0, b""
    return last.audit_id, f"acts:{last.audit_id}:{bytes(last.chain).hex()}\n".encode()


_Chain = list[tuple[datetime, bytes]]


def _chains(connection: Connection, after: int, upto: int) -> list[_Chain]:
    """Of each payment, in the order of their ids: its hashes as lines, and from when each holds.
    The seal of an imported one is a chain of its own."""
    heads = (
        select(EVENT.c.payment_id, legible(EVENT.c.occurred_at), EVENT.c.chain)
        .where(EVENT.c.payment_id > after, EVENT.c.payment_id <= upto)
        .order_by(EVENT.c.payment_id, EVENT.c.seq)
    )
    seals = (
        select(SEAL.c.payment_id, legible(SEAL.c.sealed_at), SEAL.c.content)
        .where(SEAL.c.payment_id > after, SEAL.c.payment_id <= upto)
        .order_by(SEAL.c.payment_id)
    )
    found: list[tuple[int, _Chain]] = [
        (payment_id, [(at, f"{payment_id}:{bytes(chain).hex()}\n".encode()) for _, at, chain in of])
        for payment_id, of in groupby(connection.execute(heads), key=_owner)
    ]
    for payment_id, at, content in connection.execute(seals):
        seal = hashlib.sha256(content.encode()).hexdigest()
        found.append((payment_id, [(at, f"{payment_id}:imported:{seal}\n".encode())]))
    connection.rollback()
    return [chain for _, chain in sorted(found, key=lambda item: item[0])]


def _owner(row: Row[Any]) -> int:
    return int(row.payment_id)


def _as_of(chains: list[_Chain], moment: datetime) -> tuple[bytes, int]:
    """The chains as they were at that time, one line each, and how many there are."""
    lines = []
    for chain in chains:
        held = [line for at, line in chain if at <= moment]
        lines.extend(held[-1:])
    return b"".join(lines), len(lines)


def unfitting(path: Path) -> list[str]:
    """What in a file of digests' lines does not hold any more, or is no such line. Raises OSError,
    UnicodeDecodeError."""
    broken = []
    kept: list[tuple[Digest, int]] = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if said := read_line(line):
            kept.append((said, number))
        elif line.strip():
            broken.append(f"{path}, line {number}: it is no digest's line")
    kept.sort(key=lambda item: item[0].until)
    moments = sorted({said.until for said, _ in kept})
    today = dict(zip(moments, digests(moments), strict=True))
    before: datetime | None = None
    fitted = True
    for said, number in kept:
        now = today[said.until]
        found = now.payments if said.acts is None else now.whole
        if fitted and said != found:
            # What is missing had come by this moment and, as the line before still fits, not by
            # that one. The lines after it miss it too, and say no more.
            since = f"after {iso(before)} and " if before else ""
            broken.append(
                f"{path}, line {number}: it does not fit any more. Of what was written {since}until"
                f" {iso(said.until)} something was changed or removed; there were"
                f" {said.counted()}, and there are {found.counted()}"
            )
        before, fitted = said.until, said == found
    return broken


def read_line(line: str) -> Digest | None:
    """The digest that str() wrote; None for any other text."""
    if not (found := _LINE.fullmatch(line.strip())):
        return None
    try:
        acts = int(found[3]) if found[3] else None
        return Digest(datetime.fromisoformat(found[1]), int(found[2]), acts, found[4])
    except ValueError:
        return None


def run_once() -> dict[str, int]:
    """Writes the digest as of the last midnight UTC, once, whoever comes first. Any number of
    workers may run it; the file may get a line twice, should one be killed after writing it."""
    now = datetime.now(UTC)
    until = (now - SETTLED).replace(hour=0, minute=0, second=0, microsecond=0)
    with db.engine.begin() as connection:
        ours = connection.execute(
            text(_CLAIM), {"until": until, "now": now, "leased_until": now + LEASE}
        ).one_or_none()
    if ours is None:
        return {"digests": 0}
    found = digest(until=until)
    if path := settings().audit_digest_path:
        _append(path, f"{found}\n")
    log.info("audit_digest", line=str(found))
    with db.engine.begin() as connection:
        connection.execute(
            text(_WRITTEN),
            {
                "until": until,
                "payments": found.payments,
                "acts": found.acts,
                "sha256": found.sha256,
            },
        )
    return {"digests": 1}


_CLAIM = """
    INSERT INTO audit_digests AS digest (until, leased_until) VALUES (:until, :leased_until)
    ON CONFLICT (until) DO UPDATE SET leased_until = EXCLUDED.leased_until
    WHERE digest.written_at IS NULL AND digest.leased_until <= :now
    RETURNING until
"""
_WRITTEN = """
    UPDATE audit_digests
    SET payments = :payments, acts = :acts, sha256 = :sha256, written_at = now()
    WHERE until = :until
"""


def _append(path: str, line: str) -> None:
    """One write at the file's end, on the disk when this returns. Raises OSError."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, line.encode())
        os.fsync(file)
    finally:
        os.close(file)
