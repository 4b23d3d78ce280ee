"""What happened to a payment, in words."""

from __future__ import annotations

OF_EVENT = {
    "payment.created": "Created",
    "payment.imported": "Imported from an older system",
    "payment.processing": "Sent to the provider",
    "payment.requires_action": "The payer must act",
    "payment.authorized": "The money is held",
    "payment.succeeded": "Paid",
    "payment.failed": "Not paid",
    "payment.cancelled": "Cancelled",
    "payment.expiring": "The hold runs out",
    "payment.expired": "Expired",
    "payment.capture_failed": "The held money could not be taken",
    "payment.void_failed": "The hold could not be given up",
    "payment.partially_refunded": "A part was given back",
    "payment.refunded": "All was given back",
    "payment.refund_taken_back": "The provider took a refund back",
    "payment.paid_twice": "Paid a second time; that money is given back",
    "payment.rerouted": "Sent to another provider",
    "refund.asked": "A refund was asked for, and waits for a decision",
    "refund.not_approved": "The refund that was asked for is not made",
    "refund.requested": "Asked to be given back",
    "refund.succeeded": "Given back",
    "refund.failed": "Could not be given back",
    "payment.noted": "Something more became known",
    "dispute.opened": "The payer contests it at the bank",
    "dispute.updated": "The dispute went on",
    "dispute.won": "The dispute was won",
    "dispute.lost": "The dispute was lost",
}
"""By type; another one is shown as it is."""

OF_VERB = {
    "charge": "Asked {} to charge",
    "authorization": "Asked {} to hold",
    "capture": "Asked {} to take what is held",
    "void": "Asked {} to give up the hold",
    "refund": "Asked {} to give back",
}
OF_OUTCOME = {
    "PROCESSING": "no certain answer yet",
    "REQUIRES_ACTION": "the payer must act",
    "SUCCESS": "done",
    "FAILED": "refused",
}
OF_FOUND = {
    "APPROVED": "it was done",
    "DECLINED": "it was refused",
    "PENDING": "the provider is not sure yet",
    "REQUIRES_ACTION": "the payer must act",
    "EXPIRED": "the payer's time is over",
    "NOT_FOUND": "the provider has not seen it",
    "UNKNOWN": "no certain answer came",
}
