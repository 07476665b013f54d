"""Training of what embeds composed queries: composers, and models that reason first."""
