"""Sentence frames to learn reading from, and queries worded by them."""
