"""Learning rules that are local in time or space."""
