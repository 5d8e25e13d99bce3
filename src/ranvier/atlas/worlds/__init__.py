"""Models of worlds."""
