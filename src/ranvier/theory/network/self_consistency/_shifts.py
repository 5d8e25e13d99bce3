"""By how much the mean input of neurons in white noise is moved, so that they fire as those in coloured noise do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ranvier._progress import reached
from ranvier.theory.network.groups import NeuronGroup, on_own_grid
from ranvier.theory.single_neuron.response import rate_slopes
from ranvier.theory.single_neuron.stationary import rate_alone

STEPS, CLOSE = 40, 1e-11
NODES = (9, 5, 4, 4)  # of mean, log filtered, log tau, white
Rates = Callable[[NeuronGroup, Tensor, Tensor, Tensor, Tensor, int], Tensor]
Measure = Callable[[NeuronGroup, Tensor, Tensor, Tensor], Tensor]


def matching_shift(group: NeuronGroup, mean: Tensor, variance: Tensor, rate: Tensor, threads: int = 1) -> Tensor:
    """(M,) mV: d with the rate of white noise of `variance` and mean + d equal to `rate` (M,) 1/ms. Differentiable in
    all of them and in the neurons' parameters. 0 where the rate is below 1e-9 Hz, or no input reaches it."""
    distinct = group.distinct(mean, variance, rate)
    if distinct is not None:
        rows, place = distinct
        return matching_shift(group.take(rows), mean[rows], variance[rows], rate[rows], threads)[place]
    with torch.no_grad():
        d, slope = _solve(group, mean, variance, rate, threads)
    if not torch.is_grad_enabled():
        return d
    result = rate_alone(group.membrane(mean + d, variance), threads)
    more = (rate - result) / slope
    return d + torch.where(slope == torch.inf, torch.zeros_like(d), more - more.detach())


def _solve(
    group: NeuronGroup, mean: Tensor, variance: Tensor, rate: Tensor, threads: int
) -> tuple[Tensor, Tensor]:
    """(shift, slope of the rate there) by Newton's method on log rates, in steps of at most two sigma."""
    whole = torch.sqrt(group.variance + variance)
    d, active = torch.zeros_like(mean), rate > 1e-12
    slope = torch.full_like(mean, torch.inf)
    for count in range(STEPS):
        rows = torch.nonzero(active)[:, 0]
        if not len(rows):
            break
        reached("inputs of like rates, step", count + 1)
        some = group.take(rows)
        m = some.membrane(mean[rows] + d[rows], variance[rows])
        now, steep = rate_alone(m, threads), rate_slopes(m, threads)[0]
        ratio = torch.log(rate[rows] / now.clamp(min=1e-300))
        step = (ratio * now / steep.clamp(min=1e-300)).clamp(-2 * whole[rows], 2 * whole[rows])
        slope[rows] = steep
        done = ratio.abs() < CLOSE
        d[rows] += torch.where(done, 0.0, step)
        active[rows[done]] = False
    lost = active & (d.abs() > 1e3 * whole)
    d[lost], slope[lost] = 0.0, torch.inf
    return d, slope


def shift_of_noise(rates: Rates, threads: int) -> Measure:
    """`matching_shift` of neurons whose white noise is all their own, to the `rates` of filtered noise."""

    def measure(group: NeuronGroup, mean: Tensor, filtered: Tensor, tau: Tensor) -> Tensor:
        passed = filtered * tau / (group.tau + tau)
        rate = rates(group, mean, torch.zeros_like(mean), filtered, tau, threads)
        return matching_shift(on_own_grid(group, mean, passed), mean, passed, rate, threads)

    return measure


class InputTable:
    """Of many neurons of the same parameters what `measure` gives, (M, ...), by a polynomial in what their inputs
    differ in, through its values at Chebyshev nodes; measured again when the inputs leave the nodes' range. `nodes`:
    of mean, log filtered, log tau, white."""

    def __init__(self, measure: Measure, nodes: Sequence[int] = NODES) -> None:
        self.measure, self.nodes = measure, nodes
        self.axes: list[Tensor] = []
        self.values: Tensor | None = None

    def __call__(self, group: NeuronGroup, mean: Tensor, white: Tensor, filtered: Tensor, tau: Tensor) -> Tensor:
        """(M, ...)."""
        columns = [mean, torch.log(filtered), torch.log(tau), group.variance + white]
        inside = bool(self.axes) and all(_within(x.detach(), axis) for x, axis in zip(columns, self.axes, strict=True))
        if not inside:
            first = group.take(torch.zeros(1, dtype=torch.int64))
            scale = torch.sqrt(group.variance + white + filtered).detach().max()
            axes = [_axis(x.detach(), n, scale) for x, n in zip(columns, self.nodes, strict=True)]
            self.axes, self.values = axes, self._measured(first, axes)
        values = self.values
        if values is None:
            raise RuntimeError("the table of inputs is empty; expected an entry: it is filled before it is read")
        result = values.expand(len(mean), *values.shape)
        for x, axis in zip(columns, self.axes, strict=True):
            result = torch.einsum("mn,mn...->m...", _lagrange(x, axis), result)
        return result

    @torch.no_grad()
    def _measured(self, first: NeuronGroup, axes: list[Tensor]) -> Tensor:
        grid = torch.cartesian_prod(*axes)
        group = replace(first.take(torch.zeros(len(grid), dtype=torch.int64)), variance=grid[:, 3], V_lb=None)
        values = self.measure(group, grid[:, 0], torch.exp(grid[:, 1]), torch.exp(grid[:, 2]))
        return values.reshape(*map(len, axes), *values.shape[1:])


def _within(x: Tensor, axis: Tensor) -> bool:
    low, high = (float(v) for v in (axis.min(), axis.max()))
    slack = 1e-6 * max(abs(low), abs(high), 1.0) if len(axis) == 1 else 0.0
    return float(x.min()) >= low - slack and float(x.max()) <= high + slack


def _axis(x: Tensor, n: int, scale: Tensor) -> Tensor:
    """Chebyshev nodes over the range of x and somewhat more; one where it has none."""
    low, high = float(x.min()), float(x.max())
    if high - low < 1e-7 * max(abs(low), abs(high), 1.0):
        return torch.tensor([(low + high) / 2], dtype=torch.float64)
    more = 0.05 * (high - low) + 0.02 * min(1.0, float(scale))
    low, high = low - more, high + more
    k = np.cos(np.pi * (np.arange(n) + 0.5) / n) / np.cos(np.pi / (2 * n))  # the ends are among them
    return torch.from_numpy((low + high) / 2 + (high - low) / 2 * k)


def _lagrange(x: Tensor, nodes: Tensor) -> Tensor:
    """(M, n) Lagrange polynomials of `nodes` (n,) at x (M,)."""
    n = len(nodes)
    if n == 1:
        return torch.ones(len(x), 1, dtype=torch.float64)
    different = nodes[:, None] - nodes
    different.fill_diagonal_(1.0)
    factors = ((x[:, None, None] - nodes) / different).masked_fill(torch.eye(n, dtype=torch.bool), 1.0)
    return factors.prod(-1)
