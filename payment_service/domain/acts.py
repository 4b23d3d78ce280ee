"""The acts that the audit log knows: a closed list, which the database holds the rows to."""

from __future__ import annotations

from enum import StrEnum


class Act(StrEnum):
    """What somebody did, or tried. One more needs a migration of the CHECK on audit_log.act."""

    LOGGED_IN = "logged_in"
    LOG_IN_FAILED = "log_in_failed"
    LOG_IN_DELAYED = "log_in_delayed"
    """Nothing was looked at: after so many failures the next try has to wait."""
    LOGGED_OUT = "logged_out"
    STEPPED_UP = "stepped_up"
    STEP_UP_FAILED = "step_up_failed"
    SESSION_ENDED = "session_ended"
    """By anything but its own log-out."""
    PASSWORD_CHANGED = "password_changed"
    SECOND_FACTOR_SET = "second_factor_set"
    SECOND_FACTOR_USED = "second_factor_used"
    SECOND_FACTOR_RESET = "second_factor_reset"
    RECOVERY_CODE_USED = "recovery_code_used"

    INVITE_MADE = "invite_made"
    INVITE_USED = "invite_used"
    OPERATOR_ADDED = "operator_added"
    OPERATOR_ROLE_CHANGED = "operator_role_changed"
    OPERATOR_DISABLED = "operator_disabled"
    OPERATOR_ENABLED = "operator_enabled"

    EXPORT_BEGUN = "export_begun"
    """With the filter. Where no EXPORTED of it follows, it broke off."""
    EXPORTED = "exported"
    """With the filter and the number of rows in its body."""
    JOB_ASKED = "job_asked"
    JOB_STOPPED = "job_stopped"
    JOB_CONTINUED = "job_continued"
    APPROVAL_ASKED = "approval_asked"
    APPROVAL_GIVEN = "approval_given"
    APPROVAL_REFUSED = "approval_refused"
    APPROVAL_WITHDRAWN = "approval_withdrawn"
    APPROVAL_LAPSED = "approval_lapsed"
    """Nobody decided in time."""
    CATALOG_EDITED = "catalog_edited"
    DELIVERIES_DELIVERED = "deliveries_delivered"
    DELIVERIES_SKIPPED = "deliveries_skipped"
    WEBHOOK_REPLAYED = "webhook_replayed"
    NOTE_ADDED = "note_added"
    """With the note's number; what it says is in payment_notes. Of a job that found a broken chain:
    the reason says why it is broken."""

    CUSTOMER_ERASED = "customer_erased"
    """What was personal of a customer was taken away; its number stays."""

    SETTINGS_AT_START = "settings_at_start"
    KEYS_ROTATED = "keys_rotated"
