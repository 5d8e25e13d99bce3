"""Networks of linear Hawkes processes and Poisson GLMs: point processes whose intensities follow spikes linearly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ranvier.networks import Network
from ranvier.neurons import Poisson
from ranvier.synapses import Exponential, Synapse
from ranvier.theory._text import Brief
from ranvier.theory.network.filters import synapse_filter
from ranvier.theory.network.fluctuations.stability import spectral_radius
from ranvier.theory.network.lowering import Junctions, LoweredNetwork
from ranvier.theory.network.self_consistency.rates import Coupling
from ranvier.theory.prediction import Prediction
from ranvier.theory.reach import TheoryReport

#: link and its derivative
LINKS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "identity": (lambda x: x, torch.ones_like),
    "exp": (torch.exp, torch.exp),
    "softplus": (torch.nn.functional.softplus, torch.sigmoid),
}
STEPS, CLOSE = 100, 1e-13


@dataclass(frozen=True, repr=False)
class HawkesPoint(Brief):
    """`rates` (size,) 1/ms; `slope` (size,): of each rate in what its sources add; `iterations`, `residual` (1/ms)."""

    coupling: Coupling
    rates: Tensor
    slope: Tensor
    iterations: int
    residual: float

    def linear(self, frequencies: Tensor, threads: int = 1) -> tuple[Tensor, Tensor]:
        """As `WorkingPoint.linear`: alone, every process is a Poisson process of its rate."""
        gain = self.coupling.transfers(frequencies)[:, :, None] * self.slope
        return gain[None], self.rates.expand(len(frequencies), -1)

    def susceptibility(self, frequencies: Tensor, threads: int = 1) -> Tensor:
        """(F, size): of the rate in the argument of the link, the same at all frequencies."""
        return self.slope.to(torch.complex128).expand(len(frequencies), -1)

    def renewal(self, threads: int = 1) -> tuple[Tensor, Tensor]:
        """(rates (size,) 1/ms, CVs) of the uncoupled processes."""
        return self.rates, torch.ones_like(self.rates)

    def cv(self, threads: int = 1) -> Tensor:
        """Not known: intervals of coupled processes are none of a renewal process."""
        raise ValueError(
            "intervals of Hawkes processes have no closed form; expected a question about rates, counts or spectra: "
            "ask for covariance or spectrum"
        )


def hawkes(
    base: Any, weight: Any, *, kernel: Synapse | None = None, delay: Any = 0.0, link: str = "identity"
) -> Prediction:
    """A `Prediction` of N point processes of intensities link(base_i + sum_j W_ij (h * s_j)(t - d_ij)) in Hz, s_j the
    spike trains in Hz and h the kernel, of area 1.

    Link "identity": linear Hawkes processes (Hawkes 1971, Biometrika 58:83). Rates (I - W)^-1 base, spectra
    (I - H)^-1 diag(r) (I - H)^-† and all that follows from them are exact, as long as intensities stay above 0.
    "exp" or "softplus": a Poisson GLM, linear about its mean rates; `report` has the expected error.

    Parameters
    ----------
    base
        (N,) Hz; of a GLM the argument of its link, whose value is in Hz.
    weight
        (N, N) [target, source]: the mean number of spikes that a spike of the source adds (identity); otherwise, in
        the argument per Hz: a filter w e^{-t/tau} of a spike is W = w tau/1000, tau in ms. 0 is no connection.
    kernel
        A current synapse of the library, by default `Exponential(tau=5.0)`.
    delay
        ms, a number or (N, N).
    link
        "identity", "exp" or "softplus".

    All questions but `cv` are answered; differentiable in base, weight, delay and the kernel's time constants. Raises
    ValueError for shapes that do not fit, rates below 0 and spectral radii of 1 or more.

    >>> from ranvier.theory import hawkes
    >>> prediction = hawkes([10.0, 5.0], [[0.0, 0.4], [-0.2, 0.0]])
    >>> prediction.rates().round(decimals=3).tolist()
    [11.111, 2.778]
    >>> prediction.covariance(100.0).shape
    torch.Size([2, 2])
    """
    net, lowered, point, report = _arrays(base, weight, kernel, delay, link)
    prediction = Prediction(net, lowered, point, report)
    prediction.require_stable()
    return prediction


def _arrays(
    base: Any, weight: Any, kernel: Synapse | None, delay: Any, link: str
) -> tuple[Network, LoweredNetwork, HawkesPoint, TheoryReport]:
    """What the `Prediction` of `hawkes` is made of."""
    base, W = torch.as_tensor(base, dtype=torch.float64), torch.as_tensor(weight, dtype=torch.float64)
    if base.ndim != 1 or W.shape != (len(base), len(base)):
        raise ValueError(
            f"base and weight have shapes {tuple(base.shape)} and {tuple(W.shape)}; expected (N,) and (N, N)"
        )
    if not bool(torch.isfinite(base).all() and torch.isfinite(W).all()):
        raise ValueError("base or weight is not finite; expected finite numbers")
    if link not in LINKS:
        raise ValueError(f"link is {link!r}; expected one of {', '.join(map(repr, LINKS))}")
    filter_ = synapse_filter(Exponential(tau=5.0) if kernel is None else kernel)
    targets, sources = torch.nonzero(W.detach(), as_tuple=True)
    delays = torch.as_tensor(delay, dtype=torch.float64).expand(W.shape)[targets, sources]
    if not bool((delays.detach() >= 0).all()):
        raise ValueError(f"a delay is {float(delays.min()):.6g} ms; expected 0 ms or above")
    N, edges = len(base), W[targets, sources]
    coupling = Coupling(N, sources, targets, edges, delays, torch.zeros_like(sources), (filter_,))
    rates, slope, count, residual = _rates(base, W, link)
    K = slope.detach()[targets] * edges.detach()
    radius = spectral_radius(sources, targets, K, N)
    if radius < 1 and not bool((rates > 0).all()):
        i = int(rates.argmin())
        raise ValueError(
            f"the rate of process {i} is {1000 * float(rates[i].detach()):.4g} Hz; expected one above 0: raise base or "
            "weaken inhibition"
        )
    none, zero = torch.zeros(0, dtype=torch.int64), torch.zeros(N, dtype=torch.float64)
    rows = zero[None].clone()
    lowered = LoweredNetwork(
        (), coupling, torch.zeros(len(edges), dtype=torch.bool), rates.detach(), rows, rows, rows.expand(2, 1, N),
        zero + 1, Junctions(none, none, zero[:0]),
    )  # fmt: skip
    exact = link == "identity"
    treatment = "linear Hawkes processes, exact" if exact else f"Poisson GLM with link {link}, about its mean rates"
    error = 0.0 if exact else _curvature(base, W, rates, link, filter_.power)
    report = TheoryReport(
        error * 1000 * rates.detach(), min(1.0, 2 * error), treatment, radius, zero, "in full", count, 1000 * residual
    )
    net = Network()
    net.add(Poisson(), N, name="processes", rate=1000 * rates.detach().clamp(min=0.0))
    return net, lowered, HawkesPoint(coupling, rates, slope, count, residual), report


def _rates(base: Tensor, W: Tensor, link: str) -> tuple[Tensor, Tensor, int, float]:
    """Mean rates r (N,) in 1/ms, where link(base + W r) is r in Hz, by Newton's method, and the link's slope there."""
    value, derivative = LINKS[link]
    one = torch.eye(len(base), dtype=torch.float64)
    with torch.no_grad():
        r = value(base)
        for count in range(1, STEPS + 1):
            iterations, x = count, base + W @ r
            inverse = torch.linalg.inv(one - derivative(x)[:, None] * W)
            step = inverse @ (value(x) - r)
            residual = float(step.abs().max())
            r = r + (step if link == "identity" else step.clamp(-1 - r / 2, 1 + r / 2))
            if residual < CLOSE * (1 + float(r.abs().max())):
                break
        else:
            raise ValueError(
                f"no mean rates were found (they still move by {residual:.3g} Hz); expected a stationary state: weaken "
                "the weights"
            )
    r = r + inverse @ (value(base + W @ r) - r)  # has the gradient
    return r / 1000, derivative(base + W @ r), iterations, residual / 1000


@torch.no_grad()
def _curvature(base: Tensor, W: Tensor, rates: Tensor, link: str, power: Tensor) -> float:
    """Largest relative change of a rate by half the link's second derivative times the variance of its argument."""
    x, h, derivative = base + 1000 * W @ rates, 1e-4, LINKS[link][1]
    second = (derivative(x + h) - derivative(x - h)) / (2 * h)
    return float((second.abs() * 1e6 * power * (W**2 @ rates) / (2000 * rates)).max())
