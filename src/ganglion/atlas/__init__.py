"""The atlas: published systems as claims that are run, measured and allowed to fail.

A system is one module of this package. It uses public names only and ends in ``register(Experiment(...))``.
"""

from ._record import AtLeast, AtMost, Claim, Experiment
from ._registry import experiments, get, register
from ._run import judge, run

__all__ = ["AtLeast", "AtMost", "Claim", "Experiment", "experiments", "get", "judge", "register", "run"]
