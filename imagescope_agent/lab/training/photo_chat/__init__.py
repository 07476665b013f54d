"""Training of the adapter of the chat model for photos, on captions alone."""
