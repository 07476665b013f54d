"""Queries about several references to learn reading from."""
