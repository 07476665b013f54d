"""An HTTP service over indexed collections: search, conversations, reranking; `imagescope serve` starts it."""
