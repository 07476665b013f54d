"""The index of a folder: making it, its cache, what is published, moving it to another store."""
