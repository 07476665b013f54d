"""Traces as HTML pages and in notebooks."""
