"""Fluctuations about the mean: linear response, correlations, the paths that make them, stability."""
