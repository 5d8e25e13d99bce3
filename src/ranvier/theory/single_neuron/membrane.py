"""One-variable neurons on a voltage grid: what every function of the theory takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ranvier.theory._text import Brief

SEARCH = 250  # steps below the reset in which the density's end is looked for

Force = Callable[[Tensor], Tensor]
Value = float | Tensor



@dataclass(frozen=True, repr=False)
class Grid(Brief):
    """N equal steps from V_lb to V_th for each of M neurons; differentiable in V_th, V_reset and V_lb.

    Nodes are V_lb + k step, k = 0..N-1 (at node N, V_th, the density vanishes); faces lie half a step above.

    Examples
    --------
    >>> import ranvier as rv
    >>> neurons = rv.theory.membrane(lambda V: 12.0 - V, tau=20.0, sigma=5.0, V_th=15.0, V_reset=0.0, N=500)
    >>> grid = neurons.grid
    >>> grid.N
    500
    """

    V_lb: Tensor
    V_th: Tensor
    V_reset: Tensor
    N: int

    @property
    def step(self) -> Tensor:
        """(M,) mV."""
        return (self.V_th - self.V_lb) / self.N

    @property
    def nodes(self) -> Tensor:
        """(N, M) mV."""
        return self._positions(0.0)

    @property
    def faces(self) -> Tensor:
        """(N, M) mV: where the force is evaluated."""
        return self._positions(0.5)

    def _positions(self, offset: float) -> Tensor:
        k = torch.arange(self.N, dtype=torch.float64) + offset
        # neuron-major in memory, as the kernels want it
        return (self.V_lb[:, None] + k * self.step[:, None]).T


@dataclass(frozen=True, repr=False)
class Membrane(Brief):
    """tau dV = F(V) dt + sigma sqrt(2 tau) dW between V_lb (reflecting) and V_th, then V_reset after t_ref.

    `force` (N, M) is the total force F = E_L - V + psi(V) + mu at the grid's faces, in mV; `tau`, `t_ref`
    (M,) in ms; `sigma` (M,) in mV, the standard deviation of the free membrane (Siegert and Brunel use
    sqrt(2) sigma).

    Examples
    --------
    >>> import ranvier as rv
    >>> neurons = rv.theory.membrane(lambda V: 12.0 - V, tau=20.0, sigma=5.0, V_th=15.0, V_reset=0.0, N=500)
    >>> neurons.force.shape
    torch.Size([500, 1])
    """

    grid: Grid
    force: Tensor
    tau: Tensor
    sigma: Tensor
    t_ref: Tensor

    @property
    def size(self) -> int:
        """M, the number of neurons."""
        return self.tau.shape[0]

    def integration(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(y (M, N), c (M,) ms, reset position in steps (M,), t_ref (M,) ms): see `threshold_integration`."""
        step, variance = self.grid.step, self.sigma**2
        y = -self.force.T * (step / variance)[:, None]
        return y, step**2 * self.tau / variance, (self.grid.V_reset - self.grid.V_lb) / step, self.t_ref


def membrane(
    force: Force | Tensor,
    *,
    tau: Value,
    sigma: Value,
    V_th: Value,
    V_reset: Value,
    t_ref: Value = 0.0,
    V_lb: Value | None = None,
    N: int | None = None,
) -> Membrane:
    """Discretise M neurons. Every value is a float or a tensor (M,); all but N are differentiable.

    force: callable V (N, M) -> F (N, M) in mV, written in torch if gradients in its parameters are wanted; or
        the values at the faces (then V_lb is required, and N is their number).
    tau, t_ref: ms. sigma, V_th, V_reset, V_lb: mV.
    V_lb: where the grid begins; by default where the density below the reset has fallen by exp(-36).
    N: steps of the grid; by default 1000, more (to 10000) where a step would exceed sigma/20. The error is
        second order in the step (times its logarithm where a spike has an upstroke).

    Raises ValueError naming the value at fault.

    Examples
    --------
    >>> import ranvier as rv
    >>> neurons = rv.theory.membrane(lambda V: 12.0 - V, tau=20.0, sigma=5.0, V_th=15.0, V_reset=0.0)
    >>> rate = rv.theory.stationary(neurons).rate
    >>> exact = rv.theory.siegert(12.0, 5.0, tau=20.0, V_th=15.0, V_reset=0.0).rate
    >>> bool(abs(rate - exact) < 1e-3 * exact)
    True
    """
    arguments = {"tau": tau, "sigma": sigma, "V_th": V_th, "V_reset": V_reset, "t_ref": t_ref}
    if V_lb is not None:
        arguments["V_lb"] = V_lb
    values = [torch.as_tensor(v, dtype=torch.float64) for v in arguments.values()]
    if not callable(force):
        force = torch.as_tensor(force, dtype=torch.float64)
        if V_lb is None or force.ndim not in (1, 2) or N not in (None, force.shape[0]):
            raise ValueError(
                f"the force's values have shape {tuple(force.shape)}, with V_lb={V_lb} and N={N}; expected (faces, "
                "neurons) and V_lb, where they begin"
            )
        force = force[:, None] if force.ndim == 1 else force
        N = force.shape[0]
        like = force[0]
    else:
        with torch.no_grad():  # a force may know more neurons than the values do
            like = force(torch.atleast_1d(values[3])[None])[0]
    values.append(like)
    try:
        values = torch.broadcast_tensors(*(torch.atleast_1d(v) for v in values))
    except RuntimeError as error:
        shapes = {k: tuple(torch.as_tensor(v).shape) for k, v in arguments.items()}
        raise ValueError(f"parameters have shapes {shapes}; expected scalars, or one length (neurons,)") from error
    if values[0].ndim != 1:
        raise ValueError(f"parameters have shape {tuple(values[0].shape)}; expected scalars, or (neurons,)")
    p = dict(zip(arguments, values, strict=False))  # without `like`
    check_parameters(p)
    if callable(force) and "V_lb" not in p:
        p["V_lb"] = lower_bound(force, p)
    if N is None:
        need = float(((p["V_th"] - p["V_lb"]) / (p["sigma"] / 20)).detach().max())
        # gradients hold N and V_lb: as parameters move, these move by steps
        quarters = math.ceil(4 * math.log2(max(need / 1000, 1.0)))
        N = int(min(1000 * 2 ** (quarters / 4), 10000.0))
    if N < 4:
        raise ValueError(f"N is {N}; expected at least 4 steps")
    grid = Grid(p["V_lb"], p["V_th"], p["V_reset"], N)
    F = force(grid.faces) if callable(force) else force
    F = F.expand(N, p["tau"].shape[0])
    if not bool(torch.isfinite(F.detach().sum())):
        if bool(torch.isnan(F).any()):
            k, i = torch.nonzero(torch.isnan(F))[0].tolist()
            raise ValueError(
                f"the force is not a number for neuron {i} at V = {float(grid.faces[k, i]):.6g} mV; expected one: "
                "look at its parameters"
            )
        F = F.clamp(-1e100, 1e100)  # an infinite upstroke: the membrane crosses in no time
    return Membrane(grid, F, p["tau"], p["sigma"], p["t_ref"])


def check_parameters(p: dict[str, Tensor]) -> None:
    """Refuse impossible values, by neuron and name; p: name -> (M,)."""

    def refuse(name: str, bad: Tensor, expected: str) -> None:
        if bool(bad.any()):
            i = int(torch.nonzero(bad)[0])
            others = ", ".join(f"{k}={float(v[i]):.6g}" for k, v in p.items())
            raise ValueError(f"{name} of neuron {i} is {float(p[name][i]):.6g} ({others}); expected {expected}")

    for name, v in p.items():
        refuse(name, ~torch.isfinite(v), "a finite number")
    refuse("tau", p["tau"] <= 0, "a time above 0 ms")
    refuse("sigma", p["sigma"] <= 0, "a number above 0 mV: for a noiseless neuron give a small one")
    refuse("t_ref", p["t_ref"] < 0, "0 ms or above")
    refuse("V_th", p["V_th"] <= p["V_reset"], "a voltage above V_reset")
    if "V_lb" in p:
        refuse("V_lb", p["V_lb"] >= p["V_reset"], "the grid's lower end below V_reset")


@torch.no_grad()
def lower_bound(force: Force, p: dict[str, Tensor], fall_by: float = 36.0) -> Tensor:
    """Where the density below the reset has fallen by exp(-fall_by) from its largest value there."""
    reset, depth = p["V_reset"], p["V_th"] - p["V_reset"]
    least = reset - 0.02 * depth
    bound = torch.full_like(reset, math.nan)
    span = torch.minimum(10 * p["sigma"], depth)
    k = (torch.arange(SEARCH, dtype=torch.float64) + 0.5) / SEARCH
    for _ in range(60):
        F = force(reset - k[:, None] * span).expand(SEARCH, len(reset))
        fall = torch.cumsum(F, 0) * (span / SEARCH) / p["sigma"] ** 2  # log(p(V_reset) / p(V)) without flux
        deep = fall - torch.cummin(fall, 0).values >= fall_by
        first = deep.to(torch.int8).argmax(0)
        bound = torch.where(bound.isnan() & deep.any(0), torch.minimum(reset - k[first] * span, least), bound)
        if not bool(bound.isnan().any()):
            # by steps, so that a derivative by differences sees one grid
            unit = 2 ** torch.floor(torch.log2((reset - bound) / 16))
            return unit * torch.floor(bound / unit)
        span = 2 * span
    i = int(torch.nonzero(bound.isnan())[0])
    raise ValueError(
        f"neuron {i}: no force returns the membrane from below V_reset={float(reset[i]):.6g} mV; expected one, or "
        "V_lb, where it is reflected: give V_lb"
    )
