"""Networks of neurons, described once: simulated, predicted, trained, read."""

__version__ = "0.1.0"
