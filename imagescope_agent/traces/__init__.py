"""Traces of runs: recorded as they go, walked as a graph, shown as a page."""
