"""The wire shapes: what comes in, what goes out."""
