"""A folder of images made searchable: safe loading, embeddings of image and caption, an index on disk."""
