"""The sandbox's own provider, under /psp: its routes, its books, and what its tokens do."""
