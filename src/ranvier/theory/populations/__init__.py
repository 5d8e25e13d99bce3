"""Populations as the theory's nodes: rates, spectra, stability and several stationary states, no neuron expanded."""
