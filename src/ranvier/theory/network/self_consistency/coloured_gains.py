"""Susceptibilities in filtered noise, exact where few neurons differ: of populations as nodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ranvier.theory.network.groups import NeuronGroup
from ranvier.theory.network.self_consistency.coloured import NEGLIGIBLE, ColouredPoint, InputNoise
from ranvier.theory.single_neuron.coloured_response import coloured_response

NODES = (0.0, *np.geomspace(1.0, 2500.0, 30))  # Hz, between which the ratio to white noise is interpolated
STEPS, VALUES = 128, 8  # gains within 1 % of those on finer grids


@dataclass(frozen=True, repr=False)
class ExactPoint(ColouredPoint):
    """A `ColouredPoint` whose susceptibilities are those of the Fokker-Planck equation of voltage and input."""

    def responses(self, frequencies: Tensor, threads: int = 1) -> tuple[Tensor, Tensor]:
        """As of `WorkingPoint`; spectra are still those of white noise."""
        gain, spectrum = super().responses(frequencies, threads)
        ratio = torch.ones_like(gain)
        few = len(frequencies) <= len(NODES)
        at = frequencies if few else torch.tensor(NODES, dtype=torch.float64)
        white = gain if few else super().responses(at, threads)[0]
        for group in self.cells:
            noise = InputNoise(*(x[group.index] for x in self.noise))
            coloured = noise.filtered > NEGLIGIBLE * (group.variance + noise.membrane)
            rows = torch.nonzero(coloured.detach())[:, 0]
            if not len(rows) or not group.receives:
                continue
            nodes, some = group.index[rows], group.take(rows)
            exact = _response(some, self.mean[nodes], InputNoise(*(x[rows] for x in noise)), at)
            own = exact / (1000 * white[:, nodes])
            ratio = ratio.index_copy(1, nodes, own if few else _between(own, frequencies))
        return gain * ratio, spectrum


def _response(group: NeuronGroup, mean: Tensor, noise: InputNoise, f: Tensor) -> Tensor:
    """(F, M) Hz per mV."""

    def solve(mean: Tensor, total: Tensor, filtered: Tensor, tau: Tensor) -> Tensor:
        return coloured_response(
            lambda V: group.force(V, mean), f, tau=group.tau, sigma=torch.sqrt(total + 1e-30),
            s=torch.sqrt(filtered), tau_s=tau, V_th=group.threshold(total), V_reset=group.V_reset,
            t_ref=group.wait(mean, total), steps=STEPS, values=VALUES,
        )  # fmt: skip

    inputs = mean, group.variance + noise.white, noise.filtered, noise.tau
    if not torch.is_grad_enabled():
        return solve(*inputs)
    return checkpoint(solve, *inputs, use_reentrant=False)  # what the sweeps leave would fill gigabytes


def _between(values: Tensor, frequencies: Tensor) -> Tensor:
    """(F, M) by cubic splines in asinh f; beyond the nodes the last value."""
    weights = torch.from_numpy(_splines()(np.arcsinh(np.clip(frequencies.numpy(), 0.0, NODES[-1]))))
    return torch.complex(weights @ values.real, weights @ values.imag)


@cache
def _splines() -> Any:
    from scipy.interpolate import CubicSpline

    return CubicSpline(np.arcsinh(NODES), np.eye(len(NODES)))
