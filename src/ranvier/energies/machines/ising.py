"""Spins ±1 with symmetric couplings: their energy, and their statistics at a temperature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ranvier._results import Fields
from ranvier.energies._energy import Clamp, Energy
from ranvier.energies._result import DescentResult
from ranvier.energies.machines.pairwise import PairwiseEnergy

FlipRule = Literal["metropolis", "glauber", "heat_bath"]
Order = Literal["sequential", "random", "uniform"]
_ORDERS = ("sequential", "random", "uniform")
_BLOCK = 64  # sweeps of one call
_FRESH = 256  # sweeps between fresh fields, so that rounding does not pile up


@dataclass(frozen=True)
class SpinSamples(Fields):
    """Spins after sweeps at a temperature.

    states (B, N): after the last sweep. energy, magnetisation (sweeps, B): after each sweep. accepted (sweeps, B):
    flips a free unit. samples (sweeps // every, B, N): states kept on the way, where requested.

    >>> pair = rv.energies.Ising(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    >>> samples = pair.sample(torch.tensor([[1.0, -1.0]]), temperature=0.01, sweeps=5)  # a frozen ferromagnet
    >>> abs(samples.states.sum().item()), samples.energy[-1].item()
    (2.0, -1.0)
    """

    states: Tensor
    energy: Tensor
    magnetisation: Tensor
    accepted: Tensor
    samples: Tensor | None = None


class Ising(PairwiseEnergy):
    """E(s) = −½ Σ w_ij s_i s_j − Σ bias_i s_i of spins s = ±1 (Ising 1925; Glauber 1963).

    As an `Energy` it is defined for all x within [−1, 1]: descent is then that of the mean, and ends in corners
    (or, from a saddle, on it). `sample` flips spins, in compiled sweeps.

    weight: (N, N), symmetric, with a diagonal of zeros. bias: the external field, (N,), or a number.
    Raises ValueError for weights of another kind, and says where.

    >>> pair = rv.energies.Ising(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    >>> pair.energy(torch.tensor([[1.0, 1.0], [1.0, -1.0]])).tolist()
    [-1.0, 1.0]
    """

    lowest = -1.0

    def sample(
        self,
        states: Tensor,
        temperature: float,
        sweeps: int,
        *,
        rule: FlipRule = "heat_bath",
        order: Order = "sequential",
        clamp: Clamp | None = None,
        every: int = 0,
        seed: int = 0,
    ) -> SpinSamples:
        """Sweeps over all free units at a temperature (in the energy's unit), from states (B, N) of ±1.

        rule: how a unit decides, its partners given: "heat_bath" draws it afresh; "glauber" flips with probability
            1/(1 + exp(ΔE/T)), the same law by other draws; "metropolis" with min(1, exp(−ΔE/T)).
        order: "sequential"; "random", a fresh permutation every sweep; "uniform", N draws with replacement.
        every: keep every `every`-th state (0: none).
        seed: entry b has its own stream, of (seed, b).

        Raises ValueError for a temperature that is not positive, and for states that are not ±1.
        """
        from ranvier.energies.machines import sweeps as kernels

        rules = {"metropolis": kernels.METROPOLIS, "glauber": kernels.GLAUBER, "heat_bath": kernels.HEAT_BATH}
        if rule not in rules:
            raise ValueError(f"rule is {rule!r}; expected one of {', '.join(rules)}")
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}; expected a positive number; 0 is Hopfield.settle")
        if sweeps < 1 or every < 0:
            raise ValueError(f"sweeps is {sweeps}, every is {every}; expected sweeps >= 1, every >= 0")
        runs = [
            Chain(self, s, free, order, seed, b, beta=1 / temperature, rule=rules[rule])
            for b, (s, free) in enumerate(spins(self, states, clamp))
        ]
        samples = [run.run(sweeps, every) for run in runs]
        dtype, device = self.weight.dtype, self.weight.device

        def together(name: str) -> Tensor:
            return torch.from_numpy(np.stack([getattr(run, name) for run in runs], 1)).to(device)

        return SpinSamples(
            torch.from_numpy(np.stack([run.s for run in runs])).to(device, dtype),
            together("energy"),
            together("magnetisation"),
            together("accepted"),
            torch.from_numpy(np.stack(samples, 1)).to(device, dtype) if every else None,
        )


def spins(model: Energy, states: Tensor, clamp: Clamp | None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each entry's spins, and the units that are free; ValueError unless the states are ±1."""
    x = model.place(states, clamp)
    if not bool((x.abs() == 1).all()):
        raise ValueError("states are not ±1; expected ±1: take torch.where(x > 0, 1.0, -1.0)")
    held = torch.zeros(x.shape, dtype=torch.bool) if clamp is None else clamp.mask.expand(x.shape)
    rows = x.detach().to("cpu", next(model.buffers()).dtype).numpy().copy()
    return [(s, np.flatnonzero(~m)) for s, m in zip(rows, held.cpu().numpy(), strict=True)]


def orders(rng: np.random.Generator, free: np.ndarray, order: str, sweeps: int) -> np.ndarray:
    """The units to visit, (sweeps, n)."""
    if order not in _ORDERS:
        raise ValueError(f"order is {order!r}; expected one of {', '.join(_ORDERS)}")
    whole = np.broadcast_to(free, (sweeps, len(free)))
    if order == "sequential":
        return whole
    return free[rng.integers(0, len(free), whole.shape)] if order == "uniform" else rng.permuted(whole, axis=1)


def swept(
    model: Energy, first: Tensor, final: Tensor, energies: list[Tensor], residual: Tensor, ending: Tensor
) -> DescentResult:
    """The result of sweeps from `first` to `final` (B, N), with the energies after each entry's sweeps."""
    count = torch.tensor([len(e) for e in energies], device=final.device)
    longest = int(count.max())
    padded = [torch.cat([e, e[-1:].expand(longest - len(e))]) for e in energies]
    trace = torch.cat([model.energy(first)[None], torch.stack(padded, 1).to(final)])
    return DescentResult(final, final, model.energy(final), residual, ending.to(torch.int8), longest, count, trace)


class Chain:
    """One entry's spins, fields and random numbers, in NumPy."""

    def __init__(
        self, model: Ising, s: np.ndarray, free: np.ndarray, order: str, seed: int, entry: int, beta: float, rule: int
    ) -> None:
        self.W, self.field = model.weight.cpu().numpy(), model.bias.cpu().numpy()
        self.s, self.free, self.order, self.beta, self.rule = s, free, order, beta, rule
        self.rng = np.random.default_rng([seed, entry])
        self.energy, self.magnetisation, self.accepted = np.empty(0), np.empty(0), np.empty(0)

    def run(self, count: int, every: int = 0) -> Any:
        """`count` sweeps, fewer if a quench ends; the states kept."""
        from ranvier.energies.machines import sweeps as kernels

        n, done, samples = len(self.free), 0, []
        quench = self.rule == kernels.QUENCH
        self.energy, self.magnetisation = np.empty(count), np.empty(count)
        flips, h, stale = np.empty(count, np.int64), self.field, _FRESH
        while done < count:
            if stale >= _FRESH:
                h, stale = self.W @ self.s + self.field, 0
            length = min(every or _BLOCK, count - done)
            draws = self.rng.random((1, 1) if quench else (length, n))
            part = slice(done, done + length)
            taken = kernels.sweeps(
                self.W, self.s, h, orders(self.rng, self.free, self.order, length),
                np.broadcast_to(draws, (length, n)), self.beta, self.rule, flips[part],
                self.magnetisation[part], self.energy[part], self.field,
            )  # fmt: skip
            done, stale = done + taken, stale + taken
            if taken == every:
                samples.append(self.s.copy())
            if quench and flips[done - 1] == 0 and bool((self.s * h >= 0)[self.free].all()):
                break  # draws with replacement may have missed the one unit that would flip
        self.energy, self.magnetisation = self.energy[:done], self.magnetisation[:done]
        self.accepted = flips[:done] / max(n, 1)
        return np.array(samples) if every else None


__all__ = ["Chain", "FlipRule", "Ising", "Order", "SpinSamples", "orders", "spins", "swept"]
