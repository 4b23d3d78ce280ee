"""What can go wrong, as the field names it. The wire status of each is in api/errors.py."""

from __future__ import annotations

from typing import Any


class DomainError(Exception):
    """A request that can't be done, with a stable `code` and a sentence that says what to do.

    `members` are further members of the problem document, such as payment_id.
    """

    code = "error"

    def __init__(self, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.members = members


class InvalidRequest(DomainError):
    """The body or the query is wrong; `errors` maps a field to its messages."""

    code = "invalid_request"

    def __init__(self, detail: str, errors: dict[str, Any] | None = None, **members: Any) -> None:
        super().__init__(detail, **members)
        if errors:
            self.members["errors"] = errors

    @classmethod
    def field(cls, name: str, message: str) -> InvalidRequest:
        """One field is wrong."""
        return cls(f"{name}: {message}", {name: [message]})


class UseCursor(InvalidRequest):
    """A page so far down a list that reading up to it costs too much."""

    code = "use_cursor"


class CardDataRefused(InvalidRequest):
    """A card number stands in a text; such numbers must never reach this service."""

    code = "card_data_refused"


class AmountMismatch(InvalidRequest):
    code = "amount_mismatch"


class FareTooHigh(InvalidRequest):
    """A trip, or imported history, names an amount beyond what is ever charged here."""

    code = "fare_too_high"


class MethodNotSupported(InvalidRequest):
    """No provider here takes the method, in this currency, of this amount, or as it is asked."""

    code = "method_not_supported"


class TripNotFound(InvalidRequest):
    code = "trip_not_found"


class TripNotCompleted(DomainError):
    code = "trip_not_completed"


class TripServiceUnavailable(DomainError):
    code = "trip_service_unavailable"


class PaymentNotFound(DomainError):
    code = "payment_not_found"


class RefundNotFound(DomainError):
    code = "refund_not_found"


class PaymentExists(DomainError):
    code = "payment_exists"


class IllegalTransition(DomainError):
    code = "illegal_transition"


class OperationInProgress(DomainError):
    code = "operation_in_progress"


class NotRefundable(DomainError):
    code = "not_refundable"


class RefundExceedsCaptured(InvalidRequest):
    code = "refund_exceeds_captured"


class PartialRefundNotSupported(InvalidRequest):
    """The provider that took the money gives it back as a whole only."""

    code = "partial_refund_not_supported"


class CaptureExceedsAuthorized(InvalidRequest):
    code = "capture_exceeds_authorized"


class ReceiptNotAvailable(DomainError):
    code = "receipt_not_available"


class ProviderUnavailable(DomainError):
    code = "provider_unavailable"


class IdempotencyKeyRequired(DomainError):
    code = "idempotency_key_required"


class IdempotencyKeyInvalid(DomainError):
    code = "idempotency_key_invalid"


class IdempotencyKeyConflict(DomainError):
    """The header and the body name different keys."""

    code = "idempotency_key_conflict"


class IdempotencyKeyReused(InvalidRequest):
    code = "idempotency_key_reused"


class IdempotencyKeyInProgress(DomainError):
    code = "idempotency_key_in_progress"


class BadCountry(DomainError):
    """Not a country code of two letters."""

    code = "invalid_country"
