"""Can this machine serve a profile."""
