"""Noisy systems near a stable fixed point: dx = f(x) dt + G dW to first order in the noise, with gradients.

x = x* + small, A = df/dx at x*, Q = G G^T: the covariance solves A C + C A^T + Q = 0 (Lyapunov), and
C(tau) = e^{A tau} C (van Kampen 1976; Gardiner, Handbook of Stochastic Methods, 4.5). Time in ms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ranvier.theory._text import Brief
from ranvier.theory.network.fluctuations._lyapunov import solve_lyapunov
from ranvier.theory.single_neuron.functions import in_hertz

Drift = Callable[[Tensor], Tensor]
MS_PER_S = 1000.0


@dataclass(frozen=True, repr=False)
class LinearNoise(Brief):
    """`state` (n,): the fixed point; `jacobian` (n, n) 1/ms; `diffusion` Q (n, n), units^2/ms; `covariance`
    (n, n); `abscissa`, 1/ms: the largest real part of the Jacobian's eigenvalues, below 0.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> Q = torch.eye(1, dtype=torch.float64)
    >>> noise = rv.theory.linear_noise(lambda x: 3.0 - x, Q, torch.zeros(1, dtype=torch.float64))
    >>> noise.state.tolist()
    [3.0]
    """

    state: Tensor
    jacobian: Tensor
    diffusion: Tensor
    covariance: Tensor
    abscissa: float

    def lagged(self, lags: Any) -> Tensor:
        """C_ij(tau) = <x_i(t + tau) x_j(t)> - <x_i><x_j> at lags (L,) ms, (L, n, n): at tau > 0 j leads i."""
        return lagged_covariance(self.jacobian, self.covariance, lags)

    def spectrum(self, f: Any) -> Tensor:
        """Fourier transform of C(tau) at f (F,) Hz, complex (F, n, n), units^2/Hz."""
        return noise_spectrum(self.jacobian, self.diffusion, f)


def linear_noise(
    drift: Drift, diffusion: Tensor | Callable[[Tensor], Tensor], start: Tensor, *, horizon: float = 5e4
) -> LinearNoise:
    """The linear noise approximation around the fixed point that `start` relaxes to.

    drift: x (n,) -> dx/dt (n,) per ms, in torch operations; gradients flow to what it depends on.
    diffusion: Q = G G^T (n, n), or a function of the fixed point that gives it.
    Raises ValueError where the noise-free system does not settle, or its fixed point is unstable.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> Q = torch.eye(1, dtype=torch.float64)
    >>> noise = rv.theory.linear_noise(lambda x: -x, Q, torch.zeros(1, dtype=torch.float64))
    >>> noise.covariance.tolist(), noise.abscissa
    ([[0.5]], -1.0)
    """
    state = fixed_point(drift, start, horizon=horizon)
    A = torch.func.jacrev(drift)(state)
    Q = diffusion(state) if callable(diffusion) else torch.as_tensor(diffusion, dtype=torch.float64)
    return LinearNoise(state, A, Q, lyapunov(A, Q), abscissa(A))


def fixed_point(drift: Drift, start: Tensor, *, horizon: float = 5e4) -> Tensor:
    """The fixed point (n,) that the noise-free system reaches from `start`; others there may be.

    It is relaxed along its trajectory (for at most `horizon` ms) and then polished by Newton steps, of which
    the last carries the gradient (implicit function theorem). Raises ValueError if it does not settle.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> rv.theory.fixed_point(lambda x: 2.0 - x, torch.zeros(1, dtype=torch.float64)).tolist()
    [2.0]
    """
    from scipy.integrate import solve_ivp

    x = torch.as_tensor(start, dtype=torch.float64).detach()

    def slope(_: float, y: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return drift(torch.from_numpy(y)).numpy()

    span, spent = 50.0, 0.0
    while True:
        path = solve_ivp(slope, (0.0, span), x.numpy(), method="RK45", rtol=1e-6, atol=1e-8, t_eval=[span])
        if not path.success or not np.isfinite(path.y).all():
            raise ValueError(
                f"the noise-free system runs away within {spent + span:g} ms ({path.message}); expected a fixed "
                "point: start it elsewhere, or weaken its coupling"
            )
        there = torch.from_numpy(path.y[:, -1].copy())
        moved = float((there - x).abs().max())
        x, spent = there, spent + span
        scale = 1.0 + float(x.abs().max())
        if moved < 1e-3 * scale:
            polished = _newton(drift, x)
            if polished is not None and float((polished - x).abs().max()) < 1e-2 * scale:
                return _attached(drift, polished)
        if spent + 2 * span > horizon:
            raise ValueError(
                f"the noise-free system has not settled after {spent:g} ms (it still moves by {moved:.3g} in "
                f"{span:g} ms); expected a fixed point, around which there is a covariance: start it elsewhere, "
                "weaken its coupling, or simulate it"
            )
        span *= 2


def _newton(drift: Drift, x: Tensor, steps: int = 30) -> Tensor | None:
    """x with drift(x) = 0 to rounding, or None."""
    jacobian, last = torch.func.jacrev(drift), math.inf
    with torch.no_grad():
        for _ in range(steps):
            step, info = torch.linalg.solve_ex(jacobian(x), drift(x))
            size = float(step.abs().max())
            if int(info) or not math.isfinite(size):
                return None
            x = x - step
            if size < 1e-9 and size >= last / 2:  # at rounding, where it no longer falls
                return x
            last = size
            if size == 0:
                return x
    return x if last < 1e-9 else None


def _attached(drift: Drift, x: Tensor) -> Tensor:
    """x with the gradient dx = -A^{-1} df."""
    with torch.no_grad():
        A = torch.func.jacrev(drift)(x)
    return x - torch.linalg.solve(A, drift(x))


def abscissa(A: Tensor) -> float:
    """The largest real part of the eigenvalues of A (n, n), in 1/ms; ValueError where it is not below 0."""
    values = torch.linalg.eigvals(A.detach())
    largest = float(values.real.max())
    if not largest < 0:
        turn = float(values[values.real.argmax()].imag.abs())
        kind = (
            f"oscillating at {turn * MS_PER_S / (2 * math.pi):.3g} Hz" if turn > 0 else "without oscillation"
        )
        raise ValueError(
            f"the fixed point is unstable: its Jacobian has an eigenvalue of real part {largest:.4g} per ms, "
            f"{kind}; expected a stable one, or fluctuations around it grow: weaken the coupling, or simulate"
        )
    return largest


class _Lyapunov(torch.autograd.Function):
    """C with A C + C A^T + Q = 0; its adjoint is a Lyapunov equation with A^T."""

    @staticmethod
    def forward(ctx: Any, A: Tensor, Q: Tensor) -> Tensor:
        C = torch.from_numpy(solve_lyapunov(A.detach().numpy(), -Q.detach().numpy()))
        ctx.save_for_backward(A, C)
        return C

    @staticmethod
    def backward(ctx: Any, bar: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        A, C = ctx.saved_tensors
        adjoint = _Lyapunov.apply(A.T.contiguous(), bar)
        return adjoint @ C.T + adjoint.T @ C, adjoint


def lyapunov(A: Tensor, Q: Tensor) -> Tensor:
    """C (n, n) with A C + C A^T + Q = 0, for a stable A; differentiable, any number of times.

    Bartels and Stewart (1972), of order n^3. Raises ValueError for shapes that do not fit.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> A, Q = -torch.eye(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    >>> rv.theory.lyapunov(A, Q).tolist()  # Q/2
    [[0.5, 0.0], [0.0, 0.5]]
    """
    if A.ndim != 2 or A.shape[0] != A.shape[1] or Q.shape != A.shape:
        raise ValueError(f"A and Q have shapes {tuple(A.shape)} and {tuple(Q.shape)}; expected square ones of one size")
    return _Lyapunov.apply(A, Q)


def lagged_covariance(A: Tensor, C: Tensor, lags: Any) -> Tensor:
    """e^{A tau} C at tau >= 0 and C e^{A^T |tau|} below, (L, n, n), for lags (L,) in ms."""
    return torch.stack(list(each_lagged_covariance(A, C, lags)))


def each_lagged_covariance(A: Tensor, C: Tensor, lags: Any) -> Iterator[Tensor]:
    """The same, (n, n) at one lag (ms) after the other. Whole multiples of the shortest lag share its exponential."""
    tau = torch.atleast_1d(torch.as_tensor(lags, dtype=torch.float64))
    distances = tau.abs()
    shortest = float(distances[distances > 0].min()) if bool((distances > 0).any()) else 1.0
    steps = (distances / shortest).round()
    if bool((steps * shortest - distances).abs().max() > 1e-9 * shortest) or int(steps.max()) > 4 * len(tau):
        for t in tau:
            X = torch.linalg.matrix_exp(A * t.abs()) @ C
            yield X.T if t < 0 else X
        return
    step = torch.linalg.matrix_exp(A * shortest)
    powers = {0: C}
    for k in range(1, int(steps.max()) + 1):
        powers[k] = step @ powers[k - 1]
    for t, k in zip(tau, steps):
        yield powers[int(k)].T if t < 0 else powers[int(k)]


def noise_spectrum(A: Tensor, Q: Tensor, f: Any) -> Tensor:
    """(i omega - A)^{-1} Q (i omega - A)^{-dagger} at f (F,) Hz, complex (F, n, n), units^2/Hz."""
    omega = in_hertz(f) * (2 * math.pi / MS_PER_S)
    unit = torch.eye(A.shape[0], dtype=torch.complex128)
    M = 1j * omega[:, None, None] * unit - A
    half = torch.linalg.solve(M, Q.to(torch.complex128).expand(len(omega), -1, -1))
    return torch.linalg.solve(M, half.mH).mH / MS_PER_S
