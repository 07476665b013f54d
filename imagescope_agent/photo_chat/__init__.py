"""A small chat model for photos: a packaged image model, a packaged language model, and a trained adapter."""
