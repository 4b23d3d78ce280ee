"""Swish: payments and refunds of a merchant with a client certificate, and the payers' phones."""
