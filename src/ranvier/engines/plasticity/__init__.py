"""Plastic projections of the compiled engine, and where modulators come from."""
