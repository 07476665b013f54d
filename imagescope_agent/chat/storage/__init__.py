"""Where finished turns are kept."""
