"""Fields of the images of a collection: read from files, kept as columns beside the index, and filtered by."""
