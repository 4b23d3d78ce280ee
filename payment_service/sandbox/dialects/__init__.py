"""The providers that the sandbox speaks, a folder each, named as their paths begin."""
