"""Which neurons will follow a driven set, and how fast, from the wiring alone: no simulation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ranvier._results import Columns
from ranvier.brains._connectomes import BrainWiring
from ranvier.brains._fly import SYNAPSE, require_places

#: of the model of Shiu et al. (2024): ms, and mV above rest
TAU_M, TAU, T_REF, THRESHOLD = 20.0, 5.0, 2.2, 7.0
_TURNS, _TOLERANCE = 400, 1e-3  # Hz


@dataclass(frozen=True, eq=False)
class Followers(Columns):
    """rates (neurons,) Hz, those of the driven neurons included; driven: places; left: the largest change (Hz) that
    the last repetition still made.
    Returned by `followers`.
    """

    rates: NDArray[np.float64]
    driven: NDArray[np.int64]
    left: float

    def _columns(self) -> dict[str, Any]:
        driven = np.zeros(len(self.rates), np.bool_)
        driven[self.driven] = True
        return {"neuron": np.arange(len(self.rates)), "rate": self.rates, "driven": driven}

    def places(self, least: float = 1.0) -> NDArray[np.int64]:
        """The neurons, but for those driven, that fire at `least` Hz or more; the fastest first."""
        rates = self.rates.copy()
        rates[self.driven] = 0.0
        at = np.flatnonzero(rates >= least)
        return at[np.argsort(-rates[at], kind="stable")]

    def agreement(self, measured: NDArray[np.float64], least: float = 1.0) -> dict[str, float]:
        """Beside measured rates (neurons,) Hz, over all neurons but those driven: `predicted`, `measured` and `both`,
        numbers of neurons at `least` Hz; `recall`, `precision`; `correlation` of the rates of those in either set.
        NaN where there are none."""
        mine, theirs = (np.asarray(rates, np.float64).copy() for rates in (self.rates, measured))
        mine[self.driven] = theirs[self.driven] = 0.0
        a, b = mine >= least, theirs >= least
        either, both = a | b, int((a & b).sum())
        correlation = math.nan
        if either.sum() > 1 and np.ptp(mine[either]) > 0 and np.ptp(theirs[either]) > 0:
            correlation = float(np.corrcoef(mine[either], theirs[either])[0, 1])
        return {
            "predicted": int(a.sum()), "measured": int(b.sum()), "both": both,
            "recall": both / int(b.sum()) if b.any() else math.nan,
            "precision": both / int(a.sum()) if a.any() else math.nan,
            "correlation": correlation,
        }  # fmt: skip


def followers(
    brain: BrainWiring, driven: Sequence[int] | NDArray[Any], rate: float = 150.0, silenced: Iterable[int] = ()
) -> Followers:
    """Rates of all neurons when some are driven at `rate` Hz (`fly_network`), by repeated substitution.

    A neuron's input counts by mean and variance, as of independent Poisson trains: with weights w and rates r the
    potential has the mean tau Σ w r and the variance tau² Σ w² r / (2 (tau_m + tau)); Siegert's formula gives its rate,
    with the threshold and the reset moved up for noise of correlation time tau (Fourcaud & Brunel 2002). A spike sets
    the synaptic input to 0, from where it comes back with tau: that counts as so much more refractoriness. What is left
    out: correlations, input lost in refractoriness, and that few large jumps are not Gaussian.

    Raises ValueError for places that are not there. Warns where the repetition has not come to rest.

    >>> one = [np.array([v], np.int32) for v in (0, 1, 200)]  # 200 synapses from neuron 0 to neuron 1
    >>> brain = rv.brains.BrainWiring(np.arange(3), *one)
    >>> result = rv.brains.followers(brain, driven=[0], rate=100.0)
    >>> result.places().tolist()
    [1]
    """
    from scipy.sparse import csr_array

    from ranvier.theory import boundary_shift, siegert

    n = len(brain.ids)
    driven, silent = require_places(n, driven, silenced)
    chosen = ~(silent[brain.sources] | silent[brain.targets])
    weights = brain.counts[chosen] * SYNAPSE
    wiring = csr_array((weights, (brain.targets[chosen], brain.sources[chosen])), shape=(n, n))
    squares = wiring.power(2)
    rates, left = np.zeros(n), math.inf
    rates[driven] = rate
    step = 0.5
    for _ in range(_TURNS):
        mean = TAU * (wiring @ rates) / 1000
        sd = TAU * np.sqrt((squares @ rates) / 1000 / (2 * (TAU_M + TAU)))
        near = np.flatnonzero((sd > 0) & (mean + 8 * sd > THRESHOLD))
        new = np.zeros(n)
        if len(near):
            mu, sigma = (torch.from_numpy(x[near]) for x in (mean, sd))
            up = boundary_shift(sigma, TAU_M, TAU)
            new[near] = siegert(mu, sigma, tau=TAU_M, V_th=THRESHOLD + up, V_reset=up, t_ref=T_REF + TAU).rate.numpy()
        new[driven] = rate
        before, left = left, float(np.abs(new - rates).max())
        if left < _TOLERANCE:
            return Followers(new, driven, left)
        step = max(0.05, 0.7 * step) if left > before else min(0.7, 1.05 * step)
        rates += step * (new - rates)
    warnings.warn(
        f"the rates still change by {left:.3g} Hz after {_TURNS} repetitions; expected {_TOLERANCE:g} Hz: they may "
        "not be those of a stationary state", stacklevel=2,
    )  # fmt: skip
    return Followers(rates, driven, left)


__all__ = ["Followers", "followers"]
