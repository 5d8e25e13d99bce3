"""Layers of spiking neurons, fused over time."""
