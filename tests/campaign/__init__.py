"""`make faults`: the service under load while everything that can die dies, and what holds after.

docs/faults.md says what it does. __main__ runs it; stage is the world, load its callers, chaos and
boundaries what happens to it, ledger the books afterwards, invariants what must hold of them.
"""
