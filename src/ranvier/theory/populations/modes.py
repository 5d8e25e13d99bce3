"""Modes of populations: how many grow, how fast, and what their nearness to instability makes of errors."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ranvier.theory.network.fluctuations.linear_response import interaction, turns
from ranvier.theory.network.self_consistency.rates import Coupling

LOW, HIGH = torch.arange(0.0, 400.0, 1.0, dtype=torch.float64), torch.arange(400.0, 2400.0, 4.0, dtype=torch.float64)
FASTEST = 200.0  # 1/s: exponents further to the left of 0 are left out
PRECISION, TERMS = 1e-7, 60  # of rational functions: that of responses interpolated between frequencies
DOUBLET = 0.5  # 1/s: zeros as near a pole come from rounding


def opposite(coupling: Coupling) -> Coupling:
    """At -f all but the edges' phases is the complex conjugate: that of the coupling with conjugate phases at f."""
    return replace(coupling, weight=coupling.weight.conj())


def growing(coupling: Coupling, gains: Tensor) -> int:
    """How many modes grow: the turns of det(I - M) round 0 (Nyquist); `gains` at LOW and HIGH."""
    f = torch.cat([LOW, HIGH])
    behind, ahead = (_determinant(c, gains, f).angle() for c in (opposite(coupling), coupling))
    return abs(turns(torch.cat([-behind.flip(0)[:-1], ahead])))


def exponents(coupling: Coupling, gains: Tensor) -> Tensor:
    """Zeros s of det(I - M(s)), complex (n,) in 1/s, those that grow fastest first, of a real part above -`FASTEST`
    and frequencies below 400 Hz; `gains` at LOW."""
    behind, ahead = (_determinant(c, gains, LOW) for c in (opposite(coupling), coupling))
    f = torch.cat([-LOW.flip(0)[:-1], LOW]).numpy()
    return zeros(f, torch.cat([behind.conj().flip(0)[:-1], ahead]).numpy())


def zeros(f: np.ndarray, values: np.ndarray) -> Tensor:
    """Of the rational function through `values` (F,) at s = 2 pi i f, f (F,) Hz: the AAA algorithm (Nakatsukasa, Sète &
    Trefethen 2018, SIAM J. Sci. Comput. 40:A1494)."""
    from scipy.interpolate import AAA

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # as many terms as there are: what they miss is small
        rational = AAA(2j * math.pi * f, values, rtol=PRECISION, max_terms=TERMS)
    roots, poles = rational.roots(), np.append(rational.poles(), np.inf)
    near = (roots.real > -FASTEST) & (abs(roots.imag) < 2 * math.pi * f.max())
    near &= abs(roots[:, None] - poles).min(1) > DOUBLET
    result = sorted(roots[near], key=lambda s: (-round(s.real, 3), -s.imag))
    return torch.from_numpy(np.array(result, dtype=complex))


def amplified(values: Tensor, error: float) -> Tensor:
    """(F,) relative errors of spectra where the modes' eigenvalues `values` (F, P) are off by the share `error`, as
    spectra go as 1/|1 - lambda|^2; inf where lambda may be 1 as well."""
    share = (error * values.abs() / (1 - values).abs()).amax(1)
    return torch.where(share < 1, (1 - share.clamp(max=1 - 1e-9)) ** -2 - 1, math.inf)


def _determinant(coupling: Coupling, gains: Tensor, f: Tensor) -> Tensor:
    """(F,) of I - M."""
    return torch.linalg.det(torch.eye(coupling.size) - interaction(coupling, gains[:, :, : len(f)], f))
