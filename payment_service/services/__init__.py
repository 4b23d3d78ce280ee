"""Use cases: keyword-only functions named by verbs; the business code that commits."""
