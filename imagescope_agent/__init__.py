"""ImageScope Agent: find images with language, and see why each one was found."""
