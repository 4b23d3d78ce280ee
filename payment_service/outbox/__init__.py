"""Events out: what is recorded, who hears it, and the loop that delivers."""
