"""Expressions of the dashboard that may give no series in a healthy minute, and why."""

EMPTY = {
    "Provider errors and repeated reads B": "no read had to be repeated: everybody answers",
    "Log-ins and callers refused A": "no operator logs in during the check",
}
"""By panel and letter."""
