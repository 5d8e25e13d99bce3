"""The compiled engine: numba kernels printed from the equations, spikes delivered as events."""
