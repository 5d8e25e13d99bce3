"""Cells, rules and learners as one kind of thing that composes: dependent lenses whose states change as they are used
(Shapiro & Spivak 2022, "Dynamic categories, dynamic operads")."""

from ranvier.learners.nested.instances import from_cell, from_learner, from_rule, gradient_learner
from ranvier.learners.nested.interfaces import UNIT, Distributions, Interface, Pair, Reals, Signals, Trivial, Untyped
from ranvier.learners.nested.lenses import DynamicLens, compose, identity, parallel, run, step, system, wiring
from ranvier.learners.nested.market import prediction_market

__all__ = [
    "UNIT", "Distributions", "DynamicLens", "Interface", "Pair", "Reals", "Signals", "Trivial", "Untyped", "compose",
    "from_cell", "from_learner", "from_rule", "gradient_learner", "identity", "parallel", "prediction_market", "run",
    "step", "system", "wiring",
]  # fmt: skip
