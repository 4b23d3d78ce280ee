"""Tables: columns and constraints. One noun, one file."""

from __future__ import annotations

from payment_service.models.audit import AuditDigest, ImportSeal
from payment_service.models.audit_log import AuditEntry
from payment_service.models.beats import WorkerBeat
from payment_service.models.contradictions import Contradiction
from payment_service.models.customers import Customer
from payment_service.models.disputes import Dispute, DisputeMovement
from payment_service.models.events import Delivery, Event, SinkTotal
from payment_service.models.idempotency import IdempotencyKey
from payment_service.models.jobs import Job, JobItem
from payment_service.models.lookups import Lookup
from payment_service.models.notes import PaymentNote
from payment_service.models.operators import (
    LogInTry,
    Operator,
    OperatorInvite,
    OperatorSession,
    UsedState,
)
from payment_service.models.payers import Payer
from payment_service.models.payment_methods import MethodSetup, PaymentMethod, ProviderCustomer
from payment_service.models.payments import Payment
from payment_service.models.providers import CatalogVersion, ProviderOffer
from payment_service.models.refund_requests import RefundRequest
from payment_service.models.refunds import Refund
from payment_service.models.saved_views import SavedView
from payment_service.models.totals import PaymentDay, PaymentHour, PaymentTotal, total_deltas
from payment_service.models.transactions import Transaction
from payment_service.models.webhooks import Webhook, WebhookRefusal

__all__ = [
    "AuditDigest",
    "AuditEntry",
    "CatalogVersion",
    "Contradiction",
    "Customer",
    "Delivery",
    "Dispute",
    "DisputeMovement",
    "Event",
    "IdempotencyKey",
    "ImportSeal",
    "Job",
    "JobItem",
    "LogInTry",
    "Lookup",
    "MethodSetup",
    "Operator",
    "OperatorInvite",
    "OperatorSession",
    "Payer",
    "Payment",
    "PaymentDay",
    "PaymentHour",
    "PaymentMethod",
    "PaymentNote",
    "PaymentTotal",
    "ProviderCustomer",
    "ProviderOffer",
    "Refund",
    "RefundRequest",
    "SavedView",
    "SinkTotal",
    "Transaction",
    "UsedState",
    "Webhook",
    "WebhookRefusal",
    "WorkerBeat",
    "total_deltas",
]
