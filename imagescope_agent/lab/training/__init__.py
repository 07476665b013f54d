"""Training of the models that ship with the package, from random weights, on synthetic scenes."""
