"""Training of the head of the photo embedder on frozen features of packaged backbones."""
