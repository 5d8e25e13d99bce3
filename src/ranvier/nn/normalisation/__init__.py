"""Normalisation of what drives spiking neurons: over batches, through time, of weights."""
