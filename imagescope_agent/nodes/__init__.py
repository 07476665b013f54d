"""Nodes of the graphs: read the state, call a model, parse the reply, return the changed keys."""
