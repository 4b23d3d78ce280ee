"""ZainCash v2, under /zaincash: a page for each transaction, signed news of it, whole dinars."""
