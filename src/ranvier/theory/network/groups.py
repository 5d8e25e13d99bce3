"""Neurons of one equation, and what is measured of those that differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ranvier.theory._text import Brief
from ranvier.theory.single_neuron.membrane import Membrane, membrane

PER_NEURON = ("index", "tau", "variance", "V_th", "V_reset", "t_ref")
CONTINUITY = 0.5825971579390107  # |zeta(1/2)|/sqrt(2 pi)
Drift = Callable[[Tensor, Tensor, dict[str, Tensor]], Tensor]


@dataclass(frozen=True, repr=False)
class NeuronGroup(Brief):
    """M neurons of one equation, dV/dt = drift(V, I, parameters) + sqrt(2 variance/tau) xi.

    `index` (M,): their places in the network. `drift` in mV/ms, I in mV. `parameters`: name -> (M,).
    `tau` (M,) ms = 1/(d drift/d I). `variance` (M,) mV^2: sigma^2. `V_th`, `V_reset` (M,) mV, `t_ref`
    (M,) ms. `V_lb` (M,) mV and `N`: the grid, chosen by `membrane` where None. `dt` ms: of a simulation that asks
    for the threshold at the ends of its steps only; 0 where it applies at all times. `bridge`: that draws crossings
    within steps.
    """

    name: str
    index: Tensor
    drift: Drift
    parameters: dict[str, Tensor]
    tau: Tensor
    variance: Tensor
    V_th: Tensor
    V_reset: Tensor
    t_ref: Tensor
    receives: bool = True
    V_lb: Tensor | None = None
    N: int | None = None
    dt: float = 0.0
    bridge: bool = False

    @property
    def size(self) -> int:
        return len(self.index)

    def pulled(self, more: Callable[[Tensor, dict[str, Tensor]], Tensor], parameters: dict[str, Tensor]) -> NeuronGroup:
        """With an input more(V, parameters), mV, that depends on V.

        These parameters, name -> (M,), are then among the neurons' own, so that whatever copies a neuron copies them.
        """
        drift = _Pulled(self.drift, more, frozenset(parameters))
        return replace(self, drift=drift, parameters=self.parameters | parameters)

    def threshold(self, white: Tensor) -> Tensor:
        """(M,) mV, with all the white noise (M,) mV^2: higher by 0.5826 of the noise of a step where spikes are looked
        for only every `dt`, for of the paths across V_th some are back by then (Broadie, Glasserman & Kou 1997)."""
        if not self.dt or self.bridge:
            return self.V_th
        some = white > 0  # at 0 paths are smooth, and a root has no slope
        spread = torch.sqrt(torch.where(some, white, 1.0) * (2 * self.dt) / self.tau)
        return self.V_th + CONTINUITY * torch.where(some, spread, 0.0)

    def force(self, V: Tensor, input: Tensor) -> Tensor:
        """(n, M) mV at V (n, M). Steps of `dt` follow an upstroke late: where a step changes the force by the share
        x < 1, as a force lower by 1 + x/2 would (the modified equation of Euler's method)."""
        F = self.tau * self.drift(V, input, self.parameters)
        if not self.dt:
            return F
        h = 1e-4
        higher, lower = (self.tau * self.drift(V + d, input, self.parameters) for d in (h, -h))
        x = ((higher - lower) * (self.dt / (2 * h)) / self.tau).clamp(min=0.0)
        return F / (1 + torch.where(x < 1, x / 2, 0.0))

    def wait(self, input: Tensor, white: Tensor) -> Tensor:
        """(M,) ms: the refractory time, and what a simulation in steps of `dt` loses where the force carries neurons
        over the threshold: half a step, and two at the end of an upstroke; half a step of every crossing that is drawn
        from a bridge."""
        if not self.dt:
            return self.t_ref
        V = self.V_th[None]
        F, h = self.tau * self.drift(V, input, self.parameters), 1e-4
        steep = (self.dt * (self.tau * self.drift(V + h, input, self.parameters) - F) / h > self.tau)[0]
        if self.bridge:
            if bool(steep.any()):
                raise ValueError(
                    f"{self.name} has an upstroke at its threshold; expected neurons whose noise carries them over a "
                    "hard threshold for threshold='bridge': use threshold='step'"
                )
            return self.t_ref + self.dt / 2
        drift, spread = self.dt * F[0].detach() / self.tau, torch.sqrt(white.detach() * 2 * self.dt / self.tau)
        carried = -torch.expm1(-(drift / spread.clamp(min=1e-12)).clamp(0.0, 50.0))
        return self.t_ref + self.dt * carried * torch.where(steep, 2.2, 0.5)

    def membrane(self, input: Tensor, variance: Tensor) -> Membrane:
        """With constant input (M,) mV and additional variance (M,) mV^2."""
        total = self.variance + variance
        bad = ~(total.detach() > 0)
        if bool(bad.any()):
            i = int(torch.nonzero(bad)[0])
            raise ValueError(
                f"neuron {i} of {self.name} has no noise (sigma² = {float(total[i].detach()):.4g} mV²); expected "
                "some for the theory: give the population noise > 0 (mV), or inputs from Poisson trains"
            )
        wrong = self.V_th.detach() <= self.V_reset.detach()
        if bool(wrong.any()):
            i = int(torch.nonzero(wrong)[0])
            raise ValueError(
                f"neuron {i} of {self.name} has its threshold at {float(self.V_th[i].detach()):g} mV, not "
                f"above its reset at {float(self.V_reset[i].detach()):g} mV; expected V_th > V_reset"
            )
        try:
            return membrane(
                lambda V: self.force(V, input),
                tau=self.tau,
                sigma=torch.sqrt(total),
                V_th=self.threshold(total),
                V_reset=self.V_reset,
                t_ref=self.wait(input, total),
                V_lb=self.V_lb,
                N=self.N,
            )
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from error

    def take(self, rows: Tensor) -> NeuronGroup:
        """The neurons of these rows only."""
        selected: dict[str, Any] = {k: getattr(self, k)[rows] for k in PER_NEURON}
        selected["V_lb"] = None if self.V_lb is None else self.V_lb[rows]
        return replace(self, parameters={k: v[rows] for k, v in self.parameters.items()}, **selected)

    def distinct(self, *inputs: Tensor) -> tuple[Tensor, Tensor] | None:
        """(rows, place of each neuron among them) of neurons that differ; None where all do, or where a
        gradient is needed, for then each neuron's own is. `inputs` (M,): what else may tell them apart."""
        own = [self.tau, self.variance, self.V_th, self.V_reset, self.t_ref, *inputs]
        columns = [*own, *self.parameters.values(), *([] if self.V_lb is None else [self.V_lb])]
        if torch.is_grad_enabled() and any(x.requires_grad for x in columns):
            return None
        # sums over inputs in another order differ in their last digits
        table = torch.stack([_rounded(x.detach()) for x in columns], 1)
        rows, place = torch.unique(table, dim=0, return_inverse=True)
        if len(rows) == self.size:
            return None
        first = torch.full((len(rows),), self.size).scatter_reduce_(0, place, torch.arange(self.size), "amin")
        return first, place


@dataclass(frozen=True)
class _Pulled:
    """A drift with an input that depends on V; a class, as predictions go to other processes."""

    plain: Drift
    more: Callable[[Tensor, dict[str, Tensor]], Tensor]
    added: frozenset[str]

    def __call__(self, V: Tensor, I: Tensor, own: dict[str, Tensor]) -> Tensor:
        return self.plain(V, I + self.more(V, own), {k: v for k, v in own.items() if k not in self.added})



def _rounded(x: Tensor) -> Tensor:
    scale = torch.clamp(x.abs().max(), min=1e-300) * 1e-13
    return torch.round(x / scale)


def shared(
    group: NeuronGroup, input: Tensor, variance: Tensor, measure: Callable[[Membrane], Sequence[Tensor]]
) -> list[Tensor]:
    """measure(membrane) of all neurons of a group, (..., M), from one of each kind."""
    distinct = group.distinct(input, variance)
    if distinct is None:
        return list(measure(group.membrane(input, variance)))
    rows, place = distinct
    return [x[..., place] for x in measure(group.take(rows).membrane(input[rows], variance[rows]))]


def on_own_grid(group: NeuronGroup, input: Tensor, variance: Tensor) -> NeuronGroup:
    """With the grid that `membrane` chooses at this input."""
    if group.V_lb is not None and group.N is not None:
        return group
    grid = group.membrane(input, variance).grid
    return replace(group, V_lb=grid.V_lb.detach(), N=grid.N)
