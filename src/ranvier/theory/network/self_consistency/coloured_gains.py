"""Susceptibilities in filtered noise: those in white noise at the same rate, times a ratio from the Fokker-Planck
equation of voltage and input. Of many alike neurons the ratio is interpolated between operating points (against all
solved: within 0.5 %), of all between frequencies (within 0.2 %). Very regular neurons keep those of white noise: their
resonances are narrower than the grid resolves."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ranvier._progress import reached
from ranvier.theory.network.groups import NeuronGroup, on_own_grid
from ranvier.theory.network.self_consistency._shifts import InputTable, Measure, shift_of_noise
from ranvier.theory.network.self_consistency.coloured import (
    ColouredPoint,
    InputNoise,
    coloured_rows,
    many,
    two_variable_rates,
)
from ranvier.theory.single_neuron.coloured_response import coloured_response
from ranvier.theory.single_neuron.response import response

NODES = (0.0, *np.geomspace(3.0, 1500.0, 15))  # Hz, between which the ratio to white noise is interpolated
STEPS, VALUES = 128, 8  # gains within 1 % of those on finer grids, of neurons that are not REGULAR
POINTS = (7, 4, 3, 3)  # of mean, log filtered, log tau, white
SILENT = 1e-6  # 1/ms
REGULAR = (0.08, 0.16)  # CV: below, white noise's response; from there to above, more and more that of filtered noise
BLOCK = 128  # neurons at a time


@dataclass(frozen=True, repr=False)
class ExactPoint(ColouredPoint):
    """A `ColouredPoint` whose susceptibilities are those of the Fokker-Planck equation of voltage and input."""

    known: dict[bool, Tensor] = field(default_factory=dict, init=False)

    @classmethod
    def of(cls, point: ColouredPoint) -> ExactPoint:
        return cls(**{x.name: getattr(point, x.name) for x in fields(ColouredPoint)})

    def responses(self, frequencies: Tensor, threads: int = 1) -> tuple[Tensor, Tensor]:
        """As of `WorkingPoint`; spectra are still those of white noise."""
        gain, spectrum = super().responses(frequencies, threads)
        return gain * self.ratio(frequencies, threads), spectrum

    def own_gain(self, frequencies: Tensor, gain: Tensor, threads: int = 1) -> Tensor:
        """As of `WorkingPoint`: that of white noise."""
        return gain / self.ratio(frequencies, threads)

    def ratio(self, frequencies: Tensor, threads: int = 1) -> Tensor:
        """(F, size) complex, over the susceptibility in white noise."""
        grad = torch.is_grad_enabled()
        if grad not in self.known:
            self.known[grad] = self._at_nodes(threads)
        return _between(self.known[grad], frequencies)

    def _at_nodes(self, threads: int) -> Tensor:
        at = torch.tensor(NODES, dtype=torch.float64)
        ratio = torch.ones(len(at), len(self.rates), dtype=torch.complex128)
        cv = self.cv(threads)
        for group in self.cells:
            rows, _ = coloured_rows(group, InputNoise(*(x[group.index] for x in self.noise)))
            rows = rows[self.rates[group.index[rows]] > SILENT]
            if len(rows) and group.receives:
                nodes = group.index[rows]
                noise = InputNoise(*(x[nodes] for x in self.noise))
                own = group_ratios(group.take(rows), self.mean[nodes], self.shift[nodes], noise, at, threads)
                share = ((cv[nodes] - REGULAR[0]) / (REGULAR[1] - REGULAR[0])).clamp(0.0, 1.0)
                ratio = ratio.index_copy(1, nodes, 1 + share * (own - 1))
        return ratio


def group_ratios(
    group: NeuronGroup, mean: Tensor, shift: Tensor, noise: InputNoise, f: Tensor, threads: int
) -> Tensor:
    """(F, M)."""
    distinct = group.distinct(mean, shift, *noise[:3])
    if distinct is not None:
        rows, place = distinct
        own = InputNoise(*(x[rows] for x in noise))
        return group_ratios(group.take(rows), mean[rows], shift[rows], own, f, threads)[:, place]
    if many(group):
        reached("responses to filtered noise")
        parts = InputTable(_ratios_of_noise(f, threads), POINTS)(group, mean, *noise[:3])
        return torch.complex(parts[..., 0], parts[..., 1]).T
    blocks = torch.split(torch.arange(group.size), BLOCK)
    result = []
    for k, rows in enumerate(blocks):
        reached("responses to filtered noise", k, len(blocks))
        own = InputNoise(*(x[rows] for x in noise))
        result.append(_ratios(group.take(rows), mean[rows], shift[rows], own, f, threads))
    return torch.cat(result, 1)


def _ratios(
    group: NeuronGroup, mean: Tensor, shift: Tensor, noise: InputNoise, f: Tensor, threads: int
) -> Tensor:
    """(F, M)."""
    white = response(group.membrane(mean + shift, noise.membrane), f, threads=threads).current
    least = 1e-300 + 1e-12 * white.detach().abs()
    return _response(group, mean, noise, f, threads) / torch.where(white.detach().abs() > least, white, 1.0)


def _ratios_of_noise(f: Tensor, threads: int) -> Measure:
    """(M, F, 2), real and imaginary parts of `_ratios`, of neurons whose white noise is all their own."""
    shifts = shift_of_noise(two_variable_rates, threads)

    def measure(group: NeuronGroup, mean: Tensor, filtered: Tensor, tau: Tensor) -> Tensor:
        passed = filtered * tau / (group.tau + tau)
        noise = InputNoise(torch.zeros_like(mean), filtered, tau, passed)
        shift = shifts(group, mean, filtered, tau)
        return torch.view_as_real(_ratios(on_own_grid(group, mean, passed), mean, shift, noise, f, threads).T)

    return measure


def _response(group: NeuronGroup, mean: Tensor, noise: InputNoise, f: Tensor, threads: int) -> Tensor:
    """(F, M) Hz per mV."""

    def solve(mean: Tensor, total: Tensor, filtered: Tensor, tau: Tensor) -> Tensor:
        return coloured_response(
            lambda V: group.force(V, mean), f, tau=group.tau, sigma=torch.sqrt(total + 1e-30),
            s=torch.sqrt(filtered), tau_s=tau, V_th=group.threshold(total), V_reset=group.V_reset,
            t_ref=group.wait(mean, total), steps=STEPS, values=VALUES, threads=threads,
        )  # fmt: skip

    inputs = mean, group.variance + noise.white, noise.filtered, noise.tau
    if not torch.is_grad_enabled():
        return solve(*inputs)
    return checkpoint(solve, *inputs, use_reentrant=False)  # what the rates over all faces take would fill gigabytes


def _between(values: Tensor, frequencies: Tensor) -> Tensor:
    """(F, M) by cubic splines in asinh f; beyond the nodes the last value; at negative ones the conjugate."""
    size = frequencies.abs().numpy()
    weights = torch.from_numpy(_splines()(np.arcsinh(np.clip(size, 0.0, NODES[-1]))))
    imaginary = (weights @ values.imag) * torch.sign(frequencies)[:, None]
    return torch.complex(weights @ values.real, imaginary)


@cache
def _splines() -> Any:
    from scipy.interpolate import CubicSpline

    return CubicSpline(np.arcsinh(NODES), np.eye(len(NODES)))
