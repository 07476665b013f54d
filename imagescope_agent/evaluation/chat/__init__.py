"""Evaluation of conversations: a simulated user, dialog systems, and the benchmark that compares them."""
