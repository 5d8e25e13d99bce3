"""Cells, layers and reservoirs."""
