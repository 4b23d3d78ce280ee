"""What can go wrong, as the field names it. The wire status of each is in api/errors.py."""

from __future__ import annotations

from typing import Any


class DomainError(Exception):
    """A request that can't be done, with a stable `code` and a sentence that says what to do.

    `members` are further members of the problem document, such as payment_id. The docstring of
    each class is what the OpenAPI document says of its code, so it is written for callers.
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
    """A page so far down the list that it is reached by cursor only; go on by next_cursor."""

    code = "use_cursor"


class CardDataRefused(InvalidRequest):
    """A text holds a card number; send the provider's token instead."""

    code = "card_data_refused"


class AmountMismatch(InvalidRequest):
    """The amount that was sent is not the trip's fare, or not the payment's own; `expected_amount`
    is what it must be."""

    code = "amount_mismatch"


class FareTooHigh(InvalidRequest):
    """The trip's fare, `fare`, is more than is ever charged here; have the trip looked at."""

    code = "fare_too_high"


class MethodNotSupported(InvalidRequest):
    """No provider here takes the method, in this currency, of this amount, or as it is asked."""

    code = "method_not_supported"


class NotSupportedByProvider(InvalidRequest):
    """The provider can't do that, or none here can."""

    code = "not_supported_by_provider"


class TripNotFound(InvalidRequest):
    """The trip service knows no such trip."""

    code = "trip_not_found"


class TripNotCompleted(DomainError):
    """The trip is not finished, so it can't be charged yet; `trip_status` says where it is."""

    code = "trip_not_completed"


class TripServiceUnavailable(DomainError):
    """The trip service is down or its answer can't be read. Nothing was charged or written; ask
    again with the same key."""

    code = "trip_service_unavailable"


class PaymentNotFound(DomainError):
    """There is no such payment."""

    code = "payment_not_found"


class RefundNotFound(DomainError):
    """There is no such refund."""

    code = "refund_not_found"


class WebhookNotFound(DomainError):
    """There is no such webhook."""

    code = "webhook_not_found"


class CustomerNotFound(DomainError):
    """There is no such customer."""

    code = "customer_not_found"


class PaymentMethodNotFound(DomainError):
    """There is no such saved method, it was taken away, or it is not that customer's."""

    code = "payment_method_not_found"


class CustomerBusy(DomainError):
    """A payment of the customer waits for its payer, `payment_id`; ask again once it is decided."""

    code = "customer_busy"


class UnverifiedWebhook(DomainError):
    """It can't be the provider's. Why is not told."""

    code = "webhook_refused"


class PaymentExists(DomainError):
    """The trip or order has a live payment; `payment_id` is that payment."""

    code = "payment_exists"


class IllegalTransition(DomainError):
    """The payment or refund can't go from the status `from` to the status `to` this way."""

    code = "illegal_transition"


class OperationInProgress(DomainError):
    """Something else is under way for this payment, or for its trip or order; look again, then ask
    again."""

    code = "operation_in_progress"


class NotRefundable(DomainError):
    """Nothing was captured, or the payment was imported, so nothing can be refunded here."""

    code = "not_refundable"


class PaymentDisputed(DomainError):
    """The payer contests it at the bank, which took money of it back: a refund would give that back
    once more."""

    code = "payment_disputed"


class DisputeNotFound(DomainError):
    """No dispute has this id."""

    code = "dispute_not_found"


class RefundExceedsCaptured(InvalidRequest):
    """More than is left to refund; `refundable` is what is left."""

    code = "refund_exceeds_captured"


class PartialRefundNotSupported(InvalidRequest):
    """The provider that took the money gives it back as a whole only."""

    code = "partial_refund_not_supported"


class CaptureExceedsAuthorized(InvalidRequest):
    """More than is held; `authorized` is what is held."""

    code = "capture_exceeds_authorized"


class ReceiptNotAvailable(DomainError):
    """There is a receipt only once a payment is captured."""

    code = "receipt_not_available"


class ProviderUnavailable(DomainError):
    """No provider could be asked. Nothing was charged or moved, and the key is free; ask again
    after Retry-After."""

    code = "provider_unavailable"


class IdempotencyKeyRequired(DomainError):
    """The operation needs an idempotency key, in the header or in the body."""

    code = "idempotency_key_required"


class IdempotencyKeyInvalid(DomainError):
    """The idempotency key is not 1 to 255 visible ASCII characters."""

    code = "idempotency_key_invalid"


class IdempotencyKeyConflict(DomainError):
    """The header and the body name different keys."""

    code = "idempotency_key_conflict"


class IdempotencyKeyReused(InvalidRequest):
    """The key was sent before with another body; `errors` names the fields that differ. Nothing
    was done."""

    code = "idempotency_key_reused"


class IdempotencyKeyInProgress(DomainError):
    """The first request with this key is still at work; ask again after Retry-After."""

    code = "idempotency_key_in_progress"


class BadCountry(DomainError):
    """The country is not a code of two letters."""

    code = "invalid_country"


class InvalidToken(DomainError):
    """No bearer token came, or one that is not good here. `reason` is one of missing, malformed,
    type, untrusted, expired, early, audience, issuer, subject, claims, metrics."""

    code = "invalid_token"


class InsufficientScope(DomainError):
    """The token does not have the scope that this needs; `scope` is that scope."""

    code = "insufficient_scope"


class ForeignPage(DomainError):
    """A page of another site had a browser ask, where nobody is asked for a token. ALLOWED_ORIGINS
    names the sites that may."""

    code = "foreign_page"


class RiderUnknown(DomainError):
    """The token is a rider's, and does not say which rider it is."""

    code = "rider_unknown"


class RidersOnly(DomainError):
    """This is what a rider asks for itself; the token is no rider's."""

    code = "riders_only"


class TooManyRequests(DomainError):
    """More requests than the limit; wait as long as Retry-After says. `limit` is which one:
    address, rider, service, charge or refund."""

    code = "too_many_requests"


class KeysUnavailable(DomainError):
    """The keys that tokens are verified by can't be had now. Nothing was done; ask again."""

    code = "keys_unavailable"
