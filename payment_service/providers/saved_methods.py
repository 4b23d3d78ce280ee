"""What a provider may be able to do beside the verbs: know customers, and keep their methods."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from payment_service.domain.vocabulary import SetupStatus


@dataclass(frozen=True)
class SavedMethod:
    """What a provider keeps for a customer. `token` is all by which it can be charged there; of the
    card no more than this is ever known here."""

    token: str = field(repr=False)
    kind: str
    brand: str | None = None
    last4: str | None = None
    exp_month: int | None = None
    exp_year: int | None = None
    fingerprint: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Setup:
    """How the saving of a method stands. `known_as` is the provider's id; `next_action` is what
    the payer must do, while it is OPEN."""

    known_as: str
    status: SetupStatus
    next_action: dict[str, Any] | None = field(default=None, repr=False)


@runtime_checkable
class Customers(Protocol):
    """A provider with Extra.CUSTOMERS in its capabilities. None of this moves money, so what was
    lost is asked for again. All raise OutcomeUnknown and NotSent."""

    def make_customer(self, reference: str) -> str:
        """The provider's id of the customer, made under our reference, which is the key of the
        request: asked again, it is the same one."""
        ...

    def erase_customer(self, known_as: str) -> None:
        """Its methods are detached and it is gone, also if it was before."""
        ...


@runtime_checkable
class SavedMethods(Customers, Protocol):
    """A provider with Extra.SAVED_METHODS in its capabilities; what is saved is a customer's. All
    raise OutcomeUnknown and NotSent."""

    def begin_setup(self, *, customer: str, reference: str, return_url: str | None) -> Setup:
        """Lets the payer bring a method, under our reference, which is the key of the request.
        `return_url` is where a payer who is sent to a page is led from there."""
        ...

    def look_up_setup(self, known_as: str) -> Setup:
        """How it stands."""
        ...

    def saved_methods(self, customer: str) -> list[SavedMethod]:
        """All that the customer has there now."""
        ...

    def detach(self, token: str) -> None:
        """Takes it from its customer for good, also if that was done before."""
        ...
