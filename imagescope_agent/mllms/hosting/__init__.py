"""Hosting a Hugging Face image-text-to-text checkpoint: batches shared between callers, prefixes between questions."""
