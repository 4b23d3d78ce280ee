"""The version, as /health and the OpenAPI document tell it."""

VERSION = "0.1.0"

SCHEMA = "0021"
"""The newest migration that this code needs. A newer one does no harm: each works with the code
that runs before it."""
