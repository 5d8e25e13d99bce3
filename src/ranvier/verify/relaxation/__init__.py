"""Bounds of graphs: intervals, linear relaxations forwards and backwards, and their optimisation."""
