"""Several servers of one model: which is asked, which is left out, and when it is asked again."""
