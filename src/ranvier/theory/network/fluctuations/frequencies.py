"""At which frequencies spectra are taken, so that their integrals, and the gradients of these, are right.

Gradients hold the frequencies where they are. As parameters move these therefore stay, or move by steps; only those
about a narrow peak move with it, which lie so close that the integral no longer depends on where.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ranvier.theory.network.fluctuations import correlations

HIGHEST = 2000.0  # Hz
MOST = 3000  # frequencies: the weights of so many take 300 MB
GROWTH = 40.0  # steps of f/GROWTH
SPACING = 0.1  # of frequencies about a peak, in √(width² + distance²)
NARROW = 5.0  # steps wide; wider peaks are left to the other frequencies


def spectrum_nodes(rate: Tensor, cv: Tensor, regular: Tensor, longest: float) -> tuple[Tensor, bool]:
    """Frequencies (F,) in Hz from 0 to `HIGHEST` for neurons of `rate` (N,) Hz and `cv` (N,), and whether they
    resolve every peak; `regular` (N,) says whose peaks are followed, `longest` is the longest delay in ms."""
    coarsest = stepped(100.0 / max(longest, 0.5))
    peaked = (cv < 0.7) & (rate > 0.01)
    if bool(regular.any()):
        nodes = _steps(rate, cv, peaked & ~regular, coarsest).numpy()
        nodes = _about_peaks(nodes, *_peaks(rate[regular].numpy(), cv[regular].numpy(), nodes))
        if len(nodes) <= MOST:
            return torch.from_numpy(nodes), True
    return _steps(rate, cv, peaked, coarsest), not bool(regular.any())


def stepped(value: float) -> float:
    """The next lower power of √2."""
    return 2.0 ** (math.floor(2 * math.log2(value)) / 2)


def _steps(rate: Tensor, cv: Tensor, peaked: Tensor, coarsest: float) -> Tensor:
    """Steps of a quarter of the least peak's width, π r CV²; and as peaks lie at r, no larger at any rate."""
    if not bool(peaked.any()):
        return correlations.frequency_nodes(HIGHEST, min(1.0, coarsest), coarsest, GROWTH)
    width, sharpest = float((math.pi * rate * cv**2)[peaked].min()), float((1 / (math.pi * cv**2))[peaked].max())
    growth = GROWTH / stepped(GROWTH / min(max(GROWTH, 4 * sharpest), 400.0))
    return correlations.frequency_nodes(HIGHEST, min(1.0, stepped(max(0.1, width / 4))), coarsest, growth)


def _peaks(rate: np.ndarray, cv: np.ndarray, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(centres, widths) of peaks k r, of width π r (k CV)², that are narrower than the nodes resolve; one for those
    that coincide."""
    centres, widths = [], []
    for r, c in set(zip(rate.tolist(), cv.tolist(), strict=True)):
        k = np.arange(1, 1 + int(HIGHEST / r))
        width = math.pi * r * (k * c) ** 2
        place = np.searchsorted(nodes, k * r).clip(1, len(nodes) - 1)
        narrow = width < NARROW * (nodes[place] - nodes[place - 1])
        centres.append(k[narrow] * r)
        widths.append(width[narrow])
        if sum(map(len, centres)) > MOST:
            break
    return np.concatenate(centres), np.concatenate(widths)


def _about_peaks(nodes: np.ndarray, centres: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """From 0 to the end of `nodes` in steps no larger than there, and less where peaks are near."""
    if not len(centres):
        return nodes
    steps, result, f = np.diff(nodes), [0.0], 0.0
    while f < HIGHEST and len(result) <= MOST:
        here = steps[min(int(np.searchsorted(nodes, f, side="right")) - 1, len(steps) - 1)]
        f += min(here, SPACING * float(np.sqrt(widths**2 + (f - centres) ** 2).min()))
        result.append(f)
    return np.array(result) * (HIGHEST / f)
