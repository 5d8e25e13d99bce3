"""Pictures of results: each function draws on a matplotlib Axes, `ax` or a new one, and returns it."""

from ranvier.plot.activity import correlation, cross_correlation, raster, rates, spectrum, trace, weights
from ranvier.plot.animations import animation, write_animation
from ranvier.plot.models import gradients, layer_raster, training
from ranvier.plot.monitors import layer_gradients, layer_rates, membranes
from ranvier.plot.networks import comparison, voltages, wiring
from ranvier.plot.overviews import overview
from ranvier.plot.results import activity_map, curves, population_rates

__all__ = [
    "activity_map", "animation", "comparison", "correlation", "cross_correlation", "curves", "gradients",
    "layer_gradients", "layer_raster", "layer_rates", "membranes", "overview", "population_rates", "raster", "rates",
    "spectrum", "trace", "training", "voltages", "weights", "wiring", "write_animation",
]  # fmt: skip
