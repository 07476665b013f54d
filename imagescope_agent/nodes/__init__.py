"""The steps of the graphs: read the state, ask a model, parse the reply, return the changed keys."""
