"""Synaptic plasticity: published rules by the timing of spikes or by rates, and what networks learn by them."""
