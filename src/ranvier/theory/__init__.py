"""What follows from the wiring alone: theory of noisy integrate-and-fire neurons on plain arrays, with gradients.

Times in ms, voltages in mV, rates in Hz (1/ms inside). tau dV = F(V) dt + sigma sqrt(2 tau) dW.
"""

from ranvier.theory._predict import predict
from ranvier.theory.network.fluctuations.linear_noise import LinearNoise, fixed_point, linear_noise, lyapunov
from ranvier.theory.network.fluctuations.stability import spectral_radius
from ranvier.theory.network.graded import GradedPrediction, graded_prediction
from ranvier.theory.network.hawkes import hawkes
from ranvier.theory.populations.prediction import Mode, PopulationPrediction, predict_populations
from ranvier.theory.populations.states import Bifurcation, Branch, follow, stationary_states
from ranvier.theory.prediction import Prediction
from ranvier.theory.reach import TheoryReport
from ranvier.theory.second_order.response import (
    FilteredNoise,
    filtered_noise,
    frequency_quadrature,
    mean_shift,
    second_order,
)
from ranvier.theory.single_neuron.coloured import boundary_shift, coloured_membrane
from ranvier.theory.single_neuron.coloured_response import coloured_response
from ranvier.theory.single_neuron.membrane import Grid, Membrane, membrane
from ranvier.theory.single_neuron.response import Response, response
from ranvier.theory.single_neuron.siegert import Siegert, siegert
from ranvier.theory.single_neuron.stationary import Stationary, stationary
from ranvier.theory.single_neuron.two_variables import filtered_rate
from ranvier.theory.time.fokker_planck import Evolution, evolve, interval_density
from ranvier.theory.time.prediction import TimePrediction

__all__ = [
    "Bifurcation",
    "Branch",
    "Evolution",
    "FilteredNoise",
    "GradedPrediction",
    "Grid",
    "LinearNoise",
    "Membrane",
    "Mode",
    "PopulationPrediction",
    "Prediction",
    "Response",
    "Siegert",
    "Stationary",
    "TheoryReport",
    "TimePrediction",
    "boundary_shift",
    "coloured_membrane",
    "coloured_response",
    "evolve",
    "filtered_noise",
    "filtered_rate",
    "fixed_point",
    "follow",
    "frequency_quadrature",
    "graded_prediction",
    "hawkes",
    "interval_density",
    "linear_noise",
    "lyapunov",
    "mean_shift",
    "membrane",
    "predict",
    "predict_populations",
    "response",
    "second_order",
    "siegert",
    "spectral_radius",
    "stationary",
    "stationary_states",
]
