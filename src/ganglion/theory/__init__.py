"""What the wiring foretells: theory of noisy integrate-and-fire neurons on plain arrays, with gradients.

Times in ms, voltages in mV, rates in Hz (1/ms inside). tau dV = F(V) dt + sigma sqrt(2 tau) dW.
"""

from ganglion.theory.membrane import Grid, Membrane, membrane
from ganglion.theory.response import Response, response
from ganglion.theory.stationary import Stationary, stationary

__all__ = ["Grid", "Membrane", "Response", "Stationary", "membrane", "response", "stationary"]
