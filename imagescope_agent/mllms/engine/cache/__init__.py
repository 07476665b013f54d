"""Caches of the engine: encoder outputs in memory and on disk, prefixes, keys and values of running replies."""
