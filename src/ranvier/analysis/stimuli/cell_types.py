"""New neurons typed on the fly, from their recorded responses to a few stimuli."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import reals

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CellTypes:
    """Mean profile over K stimuli of each type's recorded neurons, (types, K), each of mean 0 and length 1.
    Returned by `fit_types`.
    """

    names: NDArray[Any]
    profiles: Array

    def similarity(self, responses: ArrayLike) -> Array:
        """Correlation of each neuron's mean responses (N, K) with each type's profile, (N, types); 0 for a neuron that
        answers all stimuli alike. Gain and offset of a neuron do not matter."""
        return _profiles(responses, self.profiles.shape[1]) @ self.profiles.T

    def classify(self, responses: ArrayLike) -> NDArray[Any]:
        """The most similar type of each neuron, (N,)."""
        return self.names[self.similarity(responses).argmax(1)]


def fit_types(responses: ArrayLike, labels: ArrayLike) -> CellTypes:
    """Profiles from recorded neurons' mean responses (N, K) to K stimuli, and their types (N,).

    The responses are those of the neurons, not of their twins: twins serve for finding stimuli. Raises ValueError for
    fewer than two types, stimuli or neurons.

    >>> responses = np.array([[3.0, 1.0, 1.0], [6.0, 2.0, 2.0], [1.0, 1.0, 4.0]])  # of three neurons to three stimuli
    >>> types = rv.analysis.stimuli.fit_types(responses, ["on", "on", "off"])
    >>> types.classify([[9.0, 5.0, 5.0]]).tolist()
    ['on']
    """
    names, place = np.unique(np.asarray(labels), return_inverse=True)
    r = _profiles(responses)
    if len(place.reshape(-1)) != len(r) or len(names) < 2:
        raise ValueError(f"labels has {place.size} entries of {len(names)} types; expected one for each of {len(r)} "
                         "neurons, of at least two")  # fmt: skip
    means = np.stack([r[place.reshape(-1) == k].mean(0) for k in range(len(names))])
    length = np.linalg.norm(means, axis=1, keepdims=True)
    return CellTypes(names, means / np.where(length > 0, length, 1.0))


def presentations_needed(
    types: CellTypes, trials: ArrayLike, labels: ArrayLike
) -> Array:
    """Share of neurons typed as labelled after 1, 2 ... R presentations of each stimulus, (R,): trials (R, N, K).

    >>> types = rv.analysis.stimuli.fit_types([[3.0, 1.0, 1.0], [1.0, 1.0, 4.0]], ["on", "off"])
    >>> trials = np.array([[[1.0, 1.0, 2.0]], [[5.0, 1.0, 1.0]]])  # of one "on" neuron: the first misleads
    >>> rv.analysis.stimuli.presentations_needed(types, trials, ["on"]).tolist()
    [0.0, 1.0]
    """
    x = reals(trials, "trials")
    if x.ndim != 3:
        raise ValueError(f"trials has shape {x.shape}; expected presentations (R, N, K)")
    running = np.cumsum(x, 0) / np.arange(1, len(x) + 1)[:, None, None]
    return np.array([(types.classify(mean) == np.asarray(labels)).mean() for mean in running])


def _profiles(responses: ArrayLike, stimuli: int | None = None) -> Array:
    r = reals(responses, "responses")
    if r.ndim != 2 or r.shape[1] < 2 or not len(r) or not np.isfinite(r).all() or r.shape[1] != (stimuli or r.shape[1]):
        raise ValueError(f"responses has shape {r.shape}; expected finite (N, {stimuli or 'K'}), a column a stimulus, "
                         "of at least two")  # fmt: skip
    r = r - r.mean(1, keepdims=True)
    length = np.linalg.norm(r, axis=1, keepdims=True)
    return r / np.where(length > 0, length, 1.0)


__all__ = ["CellTypes", "fit_types", "presentations_needed"]
