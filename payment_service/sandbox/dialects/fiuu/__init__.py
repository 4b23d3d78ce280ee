"""Fiuu: a payer's page, queries, captures, voids, refunds, a daily report and notifications."""
