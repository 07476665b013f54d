"""One run of a graph: invoking it, its checkpoints, what it returns."""
