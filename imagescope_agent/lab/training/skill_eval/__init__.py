"""Accuracy of the mini chat models per skill, on scenes of held-out seeds."""
