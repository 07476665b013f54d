"""Captions of an index: made with it, or when a search reaches an image."""
