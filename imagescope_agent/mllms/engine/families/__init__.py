"""Model families that the shared-prefix backend can serve."""
