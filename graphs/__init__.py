"""One file per system: how its nodes are wired. Reached by name through load_graph, never imported."""
