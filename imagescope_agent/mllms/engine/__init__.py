"""Inference engine for Hugging Face checkpoints: prefix batching, continuous batching, feature and prefix caches."""
