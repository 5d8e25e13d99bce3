"""Synapses as linear filters, from their own equations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sympy as sp
import torch
from torch import Tensor

from ranvier.equations import parse, symbol
from ranvier.equations.printing import torch_function
from ranvier.synapses import Delta, Jump, Synapse


@dataclass(frozen=True)
class Filter:
    """The current, or the conductance, that one spike of weight 1 gives: h(t) = c exp(A t) b, of area -c A^-1 b.

    `A` (n, n) 1/ms, `b` (n,), `c` (n,); n = 0 for a jump of the membrane itself (h = delta). `E_rev` () mV of a
    conductance; None for a current.
    """

    A: Tensor
    b: Tensor
    c: Tensor
    E_rev: Tensor | None = None

    @property
    def instant(self) -> bool:
        return self.A.shape[0] == 0

    @property
    def area(self) -> Tensor:
        """Integral of h, (); 1 where it is an instant jump."""
        return torch.ones((), dtype=torch.float64) if self.instant else -self.c @ torch.linalg.solve(self.A, self.b)

    def transfer(self, frequencies: Tensor) -> Tensor:
        """Fourier transform of h over its area, complex (F,), at `frequencies` in Hz: 1 at 0."""
        omega = frequencies.to(torch.complex128) * (2j * math.pi / 1000)
        if self.instant:
            return torch.ones_like(omega)
        resolvent = omega[:, None, None] * torch.eye(len(self.b)) - self.A
        b = self.b.to(torch.complex128).expand(len(omega), -1)
        return torch.linalg.solve(resolvent, b) @ self.c.to(torch.complex128) / self.area

    def noise_share(self, tau: Tensor) -> Tensor:
        """Variance of a membrane of time constant `tau` (M,) ms, driven through this filter by a Poisson
        process, over that without the filter: tau/(tau + tau_s) for an exponential one.

        With Q the stationary covariance of the states, A Q + Q A' + b b' = 0, the autocorrelation of h is
        c exp(A t) Q c, and the share its integral against exp(-|t|/tau), over the squared area.
        """
        if self.instant:
            return torch.ones_like(tau)
        Q, n = self._covariance, len(self.b)
        one = torch.eye(n, dtype=torch.float64)
        right = (Q @ self.c).expand(*tau.shape, n)
        inner = torch.linalg.solve(one / tau[..., None, None] - self.A, right)
        return 2 * (inner @ self.c) / self.area**2


    @property
    def power(self) -> Tensor:
        """Variance of the current, mV^2, that a Poisson process of unit W^2 rate (mV^2 ms) drives through this filter:
        1/(2 tau_s) for an exponential one, (). Infinite where it is an instant jump."""
        if self.instant:
            return torch.full((), math.inf, dtype=torch.float64)
        return self.c @ self._covariance @ self.c / self.area**2

    @property
    def _covariance(self) -> Tensor:
        """(n, n) stationary covariance of the states, A Q + Q A' + b b' = 0."""
        n = len(self.b)
        one = torch.eye(n, dtype=torch.float64)
        lyapunov = torch.kron(self.A, one) + torch.kron(one, self.A)
        return torch.linalg.solve(lyapunov, -torch.outer(self.b, self.b).reshape(-1)).reshape(n, n)


def synapse_filter(synapse: Synapse) -> Filter:
    """The filter of a synapse that spikes drive, differentiable in its parameters. Raises ValueError, naming it, for
    any other kind."""
    name = type(synapse).__name__
    if synapse.continuous:
        raise ValueError(
            f"{name} is a continuous synapse, which transmits voltages and not spikes; expected none for the "
            "linear response of spiking neurons: simulate it, or leave it out"
        )
    if isinstance(synapse, Jump) and synapse.onto != "V":
        raise ValueError(
            f"{synapse!r} moves a variable of the neuron's own, which this theory has no filter for; expected a "
            "synapse with variables of its own: Exponential, say. Or simulate"
        )
    if isinstance(synapse, Delta | Jump):
        none = torch.zeros(0, dtype=torch.float64)
        return Filter(torch.zeros(0, 0, dtype=torch.float64), none, none)
    equations = synapse.equations
    assert equations is not None  # only jumps and continuous synapses have none
    states = [symbol(n) for n in equations.names]
    numbers = {symbol(k) for k in synapse.parameters}
    current, V, g_L = parse(synapse.current), symbol("V"), symbol("g_L")
    slopes = [sp.diff(current, s) for s in states]
    reversal = None
    if current.has(V):
        # sum_s c_s s (E_rev - V)/g_L
        slopes = [sp.simplify(-g_L * sp.diff(x, V)) for x in slopes]
        total = sp.Add(*(c * s for c, s in zip(slopes, states, strict=True)))
        reversal = sp.simplify(V + g_L * current / total)
    if not {x for e in (*slopes, reversal or sp.Integer(0)) for x in e.free_symbols} <= numbers:
        raise ValueError(
            f"the current of {name} is {synapse.current!r}; expected a linear one in {', '.join(equations.names)}, "
            "or such a conductance times (E_rev - V)/g_L. Simulate it"
        )
    jumps = synapse.jump_sizes()
    A = _values(equations.jacobian(), states, synapse)
    b = _values(sp.Matrix([jumps.get(n, sp.Integer(0)) for n in equations.names]), states, synapse)
    c = _values(sp.Matrix(slopes), states, synapse)
    E_rev = None if reversal is None else _values(sp.Matrix([reversal]), states, synapse)[0, 0]
    return Filter(A, b[:, 0], c[:, 0], E_rev)


def _values(matrix: Any, states: list[sp.Symbol], synapse: Synapse) -> Tensor:
    """float64, of the shape of a matrix of expressions in the synapse's parameters."""
    if matrix.free_symbols & set(states):
        raise ValueError(
            f"the equations of {type(synapse).__name__} are not linear; expected linear synapses for linear response"
        )
    function = _function(sp.ImmutableMatrix(matrix))
    entries = function(**{k: torch.as_tensor(v, dtype=torch.float64) for k, v in synapse.parameters.items()})
    return torch.stack([entries[str(k)] for k in range(len(entries))]).reshape(matrix.shape)


@lru_cache(maxsize=256)
def _function(matrix: sp.ImmutableMatrix) -> Callable[..., dict[str, Tensor]]:
    return torch_function({str(k): entry for k, entry in enumerate(matrix)})
