"""Nodes that build training triplets for composed retrieval from unlabelled images (MRA, arXiv 2505.19952)."""
