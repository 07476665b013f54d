"""Synthetic data: scene graphs with exact ground truth, their rendered images, queries, questions and dialogs."""
