"""`make bench-peers`: other payment services beside this one, on one PostgreSQL."""
