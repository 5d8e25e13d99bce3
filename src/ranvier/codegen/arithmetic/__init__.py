"""Mathematics of compiled loops: elementary functions, vectors, sums and products."""
