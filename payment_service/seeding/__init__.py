"""CSV in, by COPY: payment history, and the provider catalog."""

from __future__ import annotations

from payment_service.seeding.catalog import load_catalog
from payment_service.seeding.errors import SeedError
from payment_service.seeding.payments import import_payments, seed_demo_if_empty
from payment_service.seeding.report import BadRow, BadRows, ImportReport

__all__ = [
    "BadRow",
    "BadRows",
    "ImportReport",
    "SeedError",
    "import_payments",
    "load_catalog",
    "seed_demo_if_empty",
]
