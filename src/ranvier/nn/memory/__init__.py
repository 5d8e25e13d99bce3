"""Expressive leaky memory neurons."""
