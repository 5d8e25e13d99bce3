"""The atlas: published systems as claims that are run, measured and allowed to fail.

A system is one module of this package. It uses public names only and ends in ``register(Experiment(...))``.
"""

from ._canvas import COLOURS, canvas, gallery
from ._data import dataset
from ._measures import mean_cv
from ._record import AtLeast, AtMost, Claim, Experiment, Size
from ._registry import experiments, get, register
from ._run import judge, run

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
