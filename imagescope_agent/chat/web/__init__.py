"""The web page of `imagescope ui`."""
