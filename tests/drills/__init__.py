"""Drills: what an operator fears is done on purpose, under load, and judged by the campaign's
invariants. `make drills`, docs/operations/drills.md."""
