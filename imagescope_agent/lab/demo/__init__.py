"""The demonstration: draw a collection, index it, search it two ways, and show what every stage changed."""
