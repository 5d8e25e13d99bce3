"""Models of layers to NIR and from it."""
