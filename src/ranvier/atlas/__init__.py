"""The atlas: published systems as claims that are run, measured and allowed to fail.

A system is one module in a folder of this package, its group. It uses public names only and ends in
``register(Experiment(...))``.
"""

from ranvier.atlas._canvas import COLOURS, canvas, gallery
from ranvier.atlas._data import Digits, dataset, digits, tutorial_digits
from ranvier.atlas._film import Film
from ranvier.atlas._measures import mean_cv
from ranvier.atlas._record import AtLeast, AtMost, Claim, Experiment, Size
from ranvier.atlas._registry import GROUPS, Listed, by_group, experiments, get, listing, register
from ranvier.atlas.execution import judge, run

__all__ = [
    "COLOURS",
    "GROUPS",
    "AtLeast",
    "AtMost",
    "Claim",
    "Digits",
    "Experiment",
    "Film",
    "Listed",
    "Size",
    "by_group",
    "canvas",
    "dataset",
    "digits",
    "experiments",
    "gallery",
    "get",
    "judge",
    "listing",
    "mean_cv",
    "register",
    "run",
    "tutorial_digits",
]
