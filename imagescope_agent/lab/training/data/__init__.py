"""Training data of the mini chat model: turns with targets, packed into batches, over a pool of rendered images."""
