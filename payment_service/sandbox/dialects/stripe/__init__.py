"""Stripe's dialect, under /stripe: intents, refunds, events, its keys and its page for payers."""
