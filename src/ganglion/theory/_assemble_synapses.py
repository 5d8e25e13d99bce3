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

from ganglion.equations import parse, symbol
from ganglion.equations._printing import torch_function
from ganglion.synapses import Delta, Synapse


@dataclass(frozen=True)
class Filter:
    """The current that one spike of weight 1 gives: h(t) = c exp(A t) b, with area -c A^-1 b.

    `A` (n, n) 1/ms, `b` (n,), `c` (n,); n = 0 for a jump of the membrane itself (h = delta).
    """

    A: Tensor
    b: Tensor
    c: Tensor

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
        n = len(self.b)
        one = torch.eye(n, dtype=torch.float64)
        lyapunov = torch.kron(self.A, one) + torch.kron(one, self.A)
        Q = torch.linalg.solve(lyapunov, -torch.outer(self.b, self.b).reshape(-1)).reshape(n, n)
        right = (Q @ self.c).expand(*tau.shape, n)
        inner = torch.linalg.solve(one / tau[..., None, None] - self.A, right)
        return 2 * (inner @ self.c) / self.area**2


def synapse_filter(synapse: Synapse) -> Filter:
    """The filter of a current-based synapse, differentiable in its parameters. Raises ValueError, naming it, for
    any other kind."""
    name = type(synapse).__name__
    if synapse.continuous:
        raise ValueError(
            f"{name} is a continuous synapse, which transmits voltages and not spikes: linear response of "
            "spiking neurons knows none. Simulate it, or leave it out"
        )
    if isinstance(synapse, Delta):
        none = torch.zeros(0, dtype=torch.float64)
        return Filter(torch.zeros(0, 0, dtype=torch.float64), none, none)
    equations = synapse.equations
    assert equations is not None  # only Delta and continuous synapses have none
    states = [symbol(n) for n in equations.names]
    numbers = {symbol(k) for k in synapse.parameters}
    current = parse(synapse.current)
    if not current.free_symbols <= {*states, *numbers}:
        others = ", ".join(sorted(str(s) for s in current.free_symbols - {*states, *numbers}))
        raise ValueError(
            f"the current of {name} depends on {others}: a conductance changes the membrane's time constant, "
            "which this theory does not follow. Use a current synapse (Exponential, Alpha) with "
            "weight · (E_rev − ⟨V⟩)/g_L times the kernel's area, or simulate"
        )
    jumps = synapse.jump_sizes()
    A = _values(equations.jacobian(), states, synapse)
    b = _values(sp.Matrix([jumps.get(n, sp.Integer(0)) for n in equations.names]), states, synapse)
    c = _values(sp.Matrix([sp.diff(current, s) for s in states]), states, synapse)
    return Filter(A, b[:, 0], c[:, 0])


def _values(matrix: Any, states: list[sp.Symbol], synapse: Synapse) -> Tensor:
    """float64, of the shape of a matrix of expressions in the synapse's parameters."""
    if matrix.free_symbols & set(states):
        raise ValueError(
            f"the equations of {type(synapse).__name__} are not linear; linear response needs linear synapses"
        )
    function = _function(sp.ImmutableMatrix(matrix))
    found = function(**{k: torch.as_tensor(v, dtype=torch.float64) for k, v in synapse.parameters.items()})
    return torch.stack([found[str(k)] for k in range(len(found))]).reshape(matrix.shape)


@lru_cache(maxsize=256)
def _function(matrix: sp.ImmutableMatrix) -> Callable[..., dict[str, Tensor]]:
    return torch_function({str(k): entry for k, entry in enumerate(matrix)})
