"""Embedders: images and texts as unit vectors in one space; one file and one line each."""
