"""How pictures and vectors come into an index, and leave it: files, watched folders, remote sources, vector files."""
