"""Training data that agents build from unlabelled images."""
