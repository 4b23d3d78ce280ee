"""Who pays, and how they are led: values that are in no log and in no repr."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Stand(StrEnum):
    """How a payment stands, as its payer is told."""

    WAITING = "waiting"
    PAID = "paid"
    REFUNDED = "refunded"
    NOT_PAID = "not_paid"


@dataclass(frozen=True)
class Payer:
    """Who pays, as far as the caller said. `phone` is E.164; `customer` is the provider's id of the
    payer, and `method` its token of what the payer has saved there."""

    name: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    customer: str | None = field(default=None, repr=False)
    method: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Said:
    """What a caller says of a payment's payer: who it is, where it is led once the payment is
    decided (`return_url`), and the way of paying that is wished for, in the provider's words."""

    payer: Payer | None = None
    return_url: str | None = field(default=None, repr=False)
    channel: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For Said.of: what is not said is left out."""
        who = asdict(self.payer) if self.payer else {}
        said = {"payer": _known(who), "return_url": self.return_url, "channel": self.channel}
        return _known(said)

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Said:
        who = kept.get("payer")
        return cls(Payer(**who) if who else None, kept.get("return_url"), kept.get("channel"))


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}
