"""Small helpers that know nothing of models: files, locks, plots, secrets."""
