"""What the wiring foretells: theory of noisy integrate-and-fire neurons on plain arrays, with gradients.

Times in ms, voltages in mV, rates in Hz (1/ms inside). tau dV = F(V) dt + sigma sqrt(2 tau) dW.
"""

from ganglion.theory.coloured import boundary_shift, coloured_membrane
from ganglion.theory.fokker_planck import Evolution, evolve, interval_density
from ganglion.theory.graded import GradedPrediction, graded_prediction
from ganglion.theory.linear_noise import LinearNoise, fixed_point, linear_noise, lyapunov
from ganglion.theory.membrane import Grid, Membrane, membrane
from ganglion.theory.predict import predict
from ganglion.theory.prediction import Prediction, TheoryReport
from ganglion.theory.response import Response, response
from ganglion.theory.second_order import (
    FilteredNoise,
    filtered_noise,
    frequency_quadrature,
    mean_shift,
    second_order,
)
from ganglion.theory.siegert import Siegert, siegert
from ganglion.theory.stability import spectral_radius
from ganglion.theory.stationary import Stationary, stationary

__all__ = [
    "Evolution",
    "FilteredNoise",
    "GradedPrediction",
    "Grid",
    "LinearNoise",
    "Membrane",
    "Prediction",
    "Response",
    "Siegert",
    "Stationary",
    "TheoryReport",
    "boundary_shift",
    "coloured_membrane",
    "evolve",
    "filtered_noise",
    "fixed_point",
    "frequency_quadrature",
    "graded_prediction",
    "interval_density",
    "linear_noise",
    "lyapunov",
    "mean_shift",
    "membrane",
    "predict",
    "response",
    "second_order",
    "siegert",
    "spectral_radius",
    "stationary",
]
