"""How the models that ship with the package are trained, from nothing, on drawn scenes."""
