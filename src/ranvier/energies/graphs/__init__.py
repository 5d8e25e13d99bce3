"""Energies put together from layers (Lagrangians) and synapses between them."""
