"""Backpropagation through time, whole and truncated."""
