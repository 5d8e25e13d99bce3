"""Encoding models: from features of stimuli to the response of every voxel or neuron, against its noise ceiling.

As in the Algonauts Project 2023 (Gifford et al. 2023) on the Natural Scenes Dataset (Allen et al. 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._checks import reals
from ranvier.analysis.decoding.linear import Ridge, ridge
from ranvier.analysis.manifolds.components import Components, principal_components, table

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Encoder:
    """Features → normalised → principal components → ridge regression, one for each vertex."""

    mean: Array
    deviation: Array
    components: Components
    readout: Ridge

    def __call__(self, features: ArrayLike) -> Array:
        """Predicted responses (stimuli, vertices)."""
        z = (reals(features, "features") - self.mean) / self.deviation
        return self.readout(self.components.project(z))


def fit_encoder(features: ArrayLike, responses: ArrayLike, *, k: int = 100, penalty: float = 1.0) -> Encoder:
    """Fit on training stimuli alone: features (stimuli, F), responses (stimuli, vertices); k components at most.

    Normalisation and components come from these stimuli. All vertices are solved at once.
    """
    x = table(features, "features")
    mean, spread = x.mean(0), x.std(0)
    spread = np.where(spread > 1e-12, spread, np.inf)
    z = (x - mean) / spread
    components = principal_components(z, min(k, len(z) - 1, z.shape[1]))
    return Encoder(mean, spread, components, ridge(components.project(z), responses, penalty=penalty))


def noise_ceiling_share(ncsnr: ArrayLike, once: int = 0, twice: int = 0, thrice: int = 1) -> Array:
    """Share of the variance of mean responses that a perfect model explains, s²/(s² + (n₁ + n₂/2 + n₃/3)/(n₁ + n₂ +
    n₃)), with s = `ncsnr`, the signal's deviation over the noise's, and n_k stimuli averaged over k repeats."""
    s = reals(ncsnr, "ncsnr")
    total = once + twice + thrice
    if total <= 0 or min(once, twice, thrice) < 0:
        raise ValueError(f"once, twice, thrice are {once}, {twice}, {thrice}; expected numbers of stimuli, not all 0")
    if not np.isfinite(s).all():
        raise ValueError("ncsnr holds NaN or infinity; expected finite ratios: leave those vertices out")
    return s**2 / (s**2 + (once + twice / 2 + thrice / 3) / total)


def correlations(predicted: ArrayLike, actual: ArrayLike) -> Array:
    """Pearson correlation over stimuli of each vertex, (vertices,); 0 where either is constant."""
    a, b = table(predicted, "predicted"), table(actual, "actual")
    if a.shape != b.shape:
        raise ValueError(f"predicted has shape {a.shape}, actual {b.shape}; expected the same")
    a, b = a - a.mean(0), b - b.mean(0)
    scale = np.sqrt((a * a).sum(0) * (b * b).sum(0))
    return np.where(scale > 0, (a * b).sum(0) / np.where(scale > 0, scale, 1.0), 0.0)


def challenge_score(predicted: ArrayLike, actual: ArrayLike, ceiling: ArrayLike) -> float:
    """Median over vertices of min(1, r²/ceiling) in per cent, r below 0 counted as 0 (Gifford et al. 2023).

    ceiling: (vertices,) of `noise_ceiling_share`; 0 is taken as 1e-14.
    """
    r = np.maximum(correlations(predicted, actual), 0.0)
    limit = reals(ceiling, "ceiling")
    if limit.shape != r.shape or (limit < 0).any():
        raise ValueError(f"ceiling has shape {limit.shape}; expected a share for each of {len(r)} vertices, from 0")
    return float(np.median(np.minimum(r**2 / np.maximum(limit, 1e-14), 1.0))) * 100.0


def search_layers(
    layers: Mapping[str, ArrayLike], responses: ArrayLike, ceiling: ArrayLike, *, validation: float = 0.2,
    k: int = 100, penalty: float = 1.0, seed: int = 0,
) -> dict[str, float]:  # fmt: skip
    """The challenge's score of each layer's features on held-out stimuli, best first.

    layers: name -> (stimuli, F). The same random part of the stimuli is held out of each. To choose a layer is to fit:
    report the chosen one's score on further stimuli.
    """
    y = table(responses, "responses")
    order = np.random.default_rng(seed).permutation(len(y))
    border = max(1, round(validation * len(y)))
    test, train = order[:border], order[border:]
    scores: dict[str, float] = {}
    for name, features in layers.items():
        x: Any = np.asarray(features)
        encoder = fit_encoder(x[train], y[train], k=k, penalty=penalty)
        scores[name] = challenge_score(encoder(x[test]), y[test], ceiling)
    return dict(sorted(scores.items(), key=lambda item: -item[1]))


__all__ = [
    "Encoder", "challenge_score", "correlations", "fit_encoder", "noise_ceiling_share", "search_layers",
]  # fmt: skip
