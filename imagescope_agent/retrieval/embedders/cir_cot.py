"""x"""
PROJECTION = "projection.safetensors"
