"""Caches of the inference engine: encoder outputs, prefixes, keys and values."""
