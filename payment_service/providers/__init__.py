"""Money out: the contract and one file per provider."""
