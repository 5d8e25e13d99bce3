"""One-variable neurons: stationary state, linear response, voltage, filtered noise."""
