"""Decoding: continuous batching, speculation, structured output."""
