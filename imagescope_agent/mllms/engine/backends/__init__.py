"""Inference backends: how the engine thread scores and decodes."""
