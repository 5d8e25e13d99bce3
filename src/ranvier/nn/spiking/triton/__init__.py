"""Spiking layers on a GPU."""
