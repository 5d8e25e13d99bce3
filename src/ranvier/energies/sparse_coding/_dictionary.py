"""Codes and dictionaries as scikit-learn estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from ranvier.energies.sparse_coding._cost import normalised
from ranvier.energies.sparse_coding._lca import lca
from ranvier.energies.sparse_coding._proximal import fista

ALGORITHMS = {"lca": lca, "fista": fista}


class _Codes(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """What both share: signals to codes and back, by `components_`."""

    lam: float
    algorithm: str
    components_: np.ndarray

    def transform(self, X: Any) -> np.ndarray:
        """Codes (n_samples, n_components) of signals (n_samples, n_features)."""
        check_is_fitted(self, "components_")
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return self._codes(X).numpy()

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Signals from codes."""
        check_is_fitted(self, "components_")
        return np.asarray(X) @ self.components_

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def _codes(self, X: np.ndarray) -> Tensor:
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm is {self.algorithm!r}; expected one of {', '.join(ALGORITHMS)}")
        signals = torch.from_numpy(np.ascontiguousarray(X))
        return ALGORITHMS[self.algorithm](signals, torch.from_numpy(self.components_).to(signals.dtype), self.lam)


class SparseCoder(_Codes):
    """Codes by a given dictionary.

    Parameters
    ----------
    dictionary : (n_components, n_features), an atom a row; normalised here.
    lam : λ, the threshold.
    algorithm : "lca" or "fista".

    >>> coder = rv.energies.sparse_coding.SparseCoder(np.eye(2), lam=0.5, algorithm="fista")
    >>> coder.fit([[2.0, 0.3]]).transform([[2.0, 0.3]]).round(3).tolist()
    [[1.5, 0.0]]
    """

    def __init__(self, dictionary: Any, *, lam: float = 0.1, algorithm: str = "lca") -> None:
        self.dictionary, self.lam, self.algorithm = dictionary, lam, algorithm

    def fit(self, X: Any, y: Any = None) -> SparseCoder:
        """Take the dictionary up; X is only checked."""
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        atoms = torch.from_numpy(np.array(self.dictionary, float))
        if atoms.ndim != 2 or atoms.shape[1] != X.shape[1]:
            raise ValueError(f"dictionary has shape {tuple(atoms.shape)}; expected (M, {X.shape[1]})")
        self.components_ = normalised(atoms).numpy()
        return self


class DictionaryLearning(_Codes):
    """A dictionary that makes the codes of its data sparse (Olshausen and Field 1996).

    A batch is coded; every atom then moves along the residual times its activity (their eq. 6), divided by the
    running mean of its squared activity, so that rare atoms learn as fast as frequent ones, and is normalised,
    which keeps codes from becoming cheap by large atoms. An atom silent for `patience` batches begins again as the
    batch's worst explained signal.

    Parameters
    ----------
    n_components : atoms; None takes one a feature.
    lam : λ, in units of the data.
    algorithm : "lca" or "fista".
    max_iter : batches of learning.
    batch_size : signals drawn a batch.
    rate : step of learning at first; it falls as 1/(1 + 10 t/max_iter), so that the atoms come to rest.
    random_state : seed.

    Attributes: components_ (n_components, n_features), each of length 1; n_iter_.

    >>> rng = np.random.default_rng(0)
    >>> atoms = np.eye(4)
    >>> data = atoms[rng.integers(0, 4, 400)] * rng.uniform(1.0, 2.0, (400, 1))  # one atom a signal
    >>> model = rv.energies.sparse_coding.DictionaryLearning(4, algorithm="fista", max_iter=200, random_state=0)
    >>> _ = model.fit(data)
    >>> bool((rv.energies.sparse_coding.matched_cosines(model.components_, atoms) > 0.99).all())
    True
    """

    def __init__(
        self,
        n_components: int | None = None,
        *,
        lam: float = 0.1,
        algorithm: str = "lca",
        max_iter: int = 1000,
        batch_size: int = 128,
        rate: float = 0.5,
        patience: int = 50,
        random_state: Any = None,
    ) -> None:
        self.n_components, self.lam, self.algorithm, self.max_iter = n_components, lam, algorithm, max_iter
        self.batch_size, self.rate, self.patience, self.random_state = batch_size, rate, patience, random_state

    def fit(self, X: Any, y: Any = None) -> DictionaryLearning:
        """Learn from signals (n_samples, n_features)."""
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        rng = check_random_state(self.random_state)
        size = X.shape[1] if self.n_components is None else self.n_components
        if size < 1 or self.max_iter < 1 or self.batch_size < 1:
            raise ValueError(
                f"n_components is {size}, max_iter is {self.max_iter}, batch_size is {self.batch_size}; "
                "expected whole numbers >= 1"
            )
        atoms = rng.normal(size=(size, X.shape[1])).astype(X.dtype)
        self.components_ = normalised(torch.from_numpy(atoms)).numpy()
        self._power, self._silent = np.zeros(size), np.zeros(size, int)
        for t in range(self.max_iter):
            batch = X[rng.randint(len(X), size=min(self.batch_size, len(X)))]
            self._learn(batch, self.rate / (1 + 10 * t / self.max_iter))
        self.n_iter_ = self.max_iter
        return self

    def _learn(self, batch: np.ndarray, rate: float) -> None:
        codes = self._codes(batch).numpy()
        residual = batch - codes @ self.components_
        self._power = 0.95 * self._power + 0.05 * np.square(codes).mean(0)
        self._silent = np.where(codes.any(0), 0, self._silent + 1)
        step = codes.T @ residual / len(batch) / np.maximum(self._power, 1e-3 * self._power.max() + 1e-30)[:, None]
        atoms = self.components_ + (rate * step).astype(self.components_.dtype)
        error = np.square(residual).sum(1)
        dead = np.flatnonzero(self._silent >= self.patience)[: len(batch)]
        if len(dead):
            worst = np.argsort(-error)[: len(dead)]
            worst = worst[error[worst] > 0]
            atoms[dead[: len(worst)]] = batch[worst]
            self._silent[dead] = 0
            self._power[dead] = self._power.mean()
        length = np.linalg.norm(atoms, axis=1, keepdims=True)
        self.components_ = np.where(length > 0, atoms / np.maximum(length, 1e-30), self.components_)


def matched_cosines(atoms: Any, true: Any) -> np.ndarray:
    """|cosine| of each true atom (M, N) with the one of `atoms` (M', N), M' >= M, that the best matching gives: (M,).

    Raises ValueError for fewer atoms than true ones.

    >>> true = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> atoms = np.array([[0.0, -2.0], [3.0, 0.0]])  # the same but for order, sign and length
    >>> rv.energies.sparse_coding.matched_cosines(atoms, true).tolist()
    [1.0, 1.0]
    """
    a, b = (np.asarray(m, float) / np.linalg.norm(m, axis=1, keepdims=True) for m in (true, atoms))
    cosines = np.abs(a @ b.T)
    if len(cosines) > cosines.shape[1]:
        raise ValueError(f"there are {cosines.shape[1]} atoms for {len(cosines)} true ones; expected as many at least")
    rows, columns = linear_sum_assignment(-cosines)
    return cosines[rows, columns]


__all__ = ["DictionaryLearning", "SparseCoder", "matched_cosines"]
