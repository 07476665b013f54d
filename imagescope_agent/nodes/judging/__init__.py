"""Judging the best candidates, fusing scores, and what counts against a candidate."""
