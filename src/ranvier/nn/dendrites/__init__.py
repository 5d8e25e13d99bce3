"""Neurons with dendritic segments, and sequences learned by them."""
