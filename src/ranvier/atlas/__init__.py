"""The atlas: published systems as claims that are run, measured and allowed to fail.

A system is one module of this package. It uses public names only and ends in ``register(Experiment(...))``.
"""

from ranvier.atlas._canvas import COLOURS, canvas, gallery
from ranvier.atlas._data import dataset
from ranvier.atlas._measures import mean_cv
from ranvier.atlas._record import AtLeast, AtMost, Claim, Experiment, Size
from ranvier.atlas._registry import experiments, get, register
from ranvier.atlas.execution import judge, run

__all__ = [
    "COLOURS",
    "AtLeast",
    "AtMost",
    "Claim",
    "Experiment",
    "Size",
    "canvas",
    "dataset",
    "experiments",
    "gallery",
    "get",
    "judge",
    "mean_cv",
    "register",
    "run",
]
