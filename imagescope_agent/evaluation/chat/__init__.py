"""Evaluation of conversations: simulated users, systems, and the benchmark that plays them."""
