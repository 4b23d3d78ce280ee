"""Pure rules: money, states, events, errors. No Flask, no SQL, no I/O."""
