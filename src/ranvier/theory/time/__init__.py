"""Densities and rates in time."""
