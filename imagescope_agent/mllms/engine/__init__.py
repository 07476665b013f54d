"""Hosting a Hugging Face checkpoint: batches shared between callers, prefixes between questions."""
