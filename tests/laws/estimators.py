"""Every estimator of the package, with settings to try it by and the checks of scikit-learn's that it must fail.

A new subclass of `BaseEstimator` needs a `Case` here: `tests/reservoirs/test_every_estimator.py` names one without.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from sklearn.base import BaseEstimator

import ranvier
from ranvier.energies.sparse_coding import DictionaryLearning, SparseCoder
from ranvier.reservoirs import ESN, NGRC, ReservoirClassifier, ReservoirTransformer

#: what a memory of the rows before must fail
MEMORY = MappingProxyType(
    {
        "check_methods_sample_order_invariance": "an answer depends on the rows before it",
        "check_methods_subset_invariance": "an answer depends on the rows before it",
    }
)
SERIES = MEMORY | {"check_sample_weight_equivalence_on_dense_data": "a row left out, or there twice, changes the rest"}


@dataclass(frozen=True)
class Case:
    """An estimator, and scikit-learn's checks that it must fail, with the reason."""

    estimator: BaseEstimator
    fails: Mapping[str, str] = field(default_factory=dict)


CASES = {
    "NGRC": Case(NGRC(), SERIES),
    "NGRC, strides": Case(NGRC(2, 2, (1, 2), constant=False), SERIES),
    "ESN": Case(ESN(units=30), SERIES),
    "ESN, leaky": Case(ESN(units=30, leak=0.3, direct=False, washout=2), SERIES),
    "ESN, feedback": Case(ESN(20, feedback_scaling=0.1), SERIES),
    "ReservoirTransformer": Case(ReservoirTransformer(20), MEMORY),
    "ReservoirClassifier": Case(ReservoirClassifier(20)),
    "DictionaryLearning": Case(DictionaryLearning(3, lam=1.0, max_iter=3, patience=2)),
}
#: what no data of scikit-learn's can fit; its own tests hold it
APART = {SparseCoder: "its dictionary fixes the number of columns: tests/energies/test_sparse_coding.py"}


def estimators() -> Iterator[type[BaseEstimator]]:
    """Every public estimator of the package."""
    for module in pkgutil.walk_packages(ranvier.__path__, "ranvier."):
        if module.name.split(".")[1] in ("reservoirs", "energies", "analysis", "learners"):
            importlib.import_module(module.name)
    kinds = list(BaseEstimator.__subclasses__())
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        bare = kind.__name__.startswith("_") or bool(getattr(kind, "__abstractmethods__", ()))
        if kind.__module__.startswith("ranvier.") and not bare:
            yield kind


def series(rows: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Columns, and a target that follows from them."""
    x = np.random.default_rng(0).normal(size=(rows, 3))
    return x, x[:, 0] + 0.5 * np.roll(x[:, 1], 1)
