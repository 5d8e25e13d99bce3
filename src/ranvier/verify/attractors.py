"""Recurrent networks in the long run: when a reservoir forgets its past, and from where a memory is recalled.

Statements are about all states at once, with what float64 rounds taken off.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ranvier._results import Fields
from ranvier.energies import ContinuousHopfield, Hopfield, ModernHopfield
from ranvier.verify import functions as f
from ranvier.verify.bounding import bounds
from ranvier.verify.graphs.builder import Builder
from ranvier.verify.relaxation.intervals import EPS


@dataclass(frozen=True, eq=False)
class Contraction(Fields):
    """Two runs with the same input come closer by `rate` a step in the norm max_i |δ_i|/weights_i (or, `euclidean`,
    |weights · δ|), whatever their states; below 1 the network is an echo-state network for every input allowed.
    Returned by `contraction`.
    """

    rate: float
    weights: Tensor
    euclidean: bool

    @property
    def certain(self) -> bool:
        return self.rate < 1


def contraction(
    weight: Tensor, *, leak: float = 1.0, gains: Tensor | float = 1.0, sweeps: int = 200
) -> Contraction:
    """An upper bound of the contraction rate of r ← (1 − leak) r + leak tanh(W r + input), W (N, N), [target, source].

    From |δ'| <= ((1 − leak) I + leak diag(gains) |W|) |δ| in a weighted maximum norm, whose weights are the matrix's
    Perron vector, and from the singular values of a diagonally scaled W (Yildiz, Jaeger & Kiebel 2012); the lesser.
    gains (N,): the greatest slope of each unit's tanh, 1 unless its input is known (`tanh_gains`).

    Raises ValueError for a matrix that is not square and finite, and a leak outside (0, 1].

    >>> from ranvier.verify import contraction
    >>> contraction(torch.tensor([[0.0, 0.5], [-0.5, 0.0]])).certain
    True
    """
    W = torch.as_tensor(weight).detach().double()
    if W.ndim != 2 or W.shape[0] != W.shape[1] or not bool(torch.isfinite(W).all()):
        raise ValueError(f"weight has the shape {tuple(W.shape)}, or is not finite; expected a finite (N, N)")
    if not 0 < leak <= 1:
        raise ValueError(f"leak is {leak}; expected a number in (0, 1]")
    n = len(W)
    g = torch.as_tensor(gains).detach().double().expand(n)
    M = leak * g[:, None] * W.abs() + (1 - leak) * torch.eye(n, dtype=torch.float64)
    right, left = _perron(M, sweeps), _perron(M.T, sweeps)
    slack = 1 + (n + 16) * EPS
    by_maximum = float(((M @ right) / right).amax()) * slack
    scale = torch.sqrt(left / right)
    S = scale[:, None] * W / scale
    square = (S.T @ S).abs() + (n + 16) * EPS * (S.abs().T @ S.abs())
    v = _perron(square, sweeps)
    # |S|² is the spectral radius of SᵀS, at most that of its absolute values; gains are at most 1
    norm = float(torch.sqrt(((square @ v) / v).amax())) * slack
    exact = torch.linalg.svdvals(S)[0].item()
    refined = _norm_bound(S, exact)
    norm = min(norm, refined)
    by_square = ((1 - leak) + leak * norm) * slack
    if by_square < by_maximum:
        return Contraction(by_square, scale, True)
    return Contraction(by_maximum, right, False)


def _norm_bound(S: Tensor, value: float) -> float:
    """An upper bound of the largest singular value: the computed one plus the residual of its decomposition."""
    u, s, v = torch.linalg.svd(S)
    n = len(S)
    error = (n + 16) * EPS
    residual = (S - (u * s) @ v).norm() + error * (u.norm() * s.norm() * v.norm() + S.norm())
    eye = torch.eye(n, dtype=torch.float64)
    apart = [(q.T @ q - eye).norm() + error * q.norm() ** 2 for q in (u, v.T)]  # how far from orthogonal
    return float((value * torch.sqrt((1 + apart[0]) * (1 + apart[1])) + residual) * (1 + error))


def _perron(M: Tensor, sweeps: int) -> Tensor:
    """A positive vector near the dominant one of a matrix of numbers >= 0."""
    v = torch.ones(len(M), dtype=torch.float64)
    shift = 0.3 * float(M.sum(1).amax()) + 1e-300
    for _ in range(sweeps):
        v = M @ v + shift * v
        v = v / v.amax()
    return v.clamp(min=1e-8)


def tanh_gains(weight: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """(N,): the greatest slope of each unit's tanh when its input, all but W r, is within [lower, upper] (N,) and r
    within [−1, 1].

    >>> rv.verify.tanh_gains(torch.zeros(1, 1), torch.tensor([-1.0]), torch.tensor([1.0])).round(decimals=6).tolist()
    [1.0]
    """
    reach = torch.as_tensor(weight).detach().double().abs().sum(1) * (1 + 1e-9)
    l, u = torch.as_tensor(lower).double() - reach, torch.as_tensor(upper).double() + reach
    nearest = torch.where((l <= 0) & (u >= 0), 0.0, torch.minimum(l.abs(), u.abs()))
    return (f.HyperbolicTangent().slope(nearest) * (1 + 1e-12)).clamp(max=1.0)


def hopfield_radius(network: Hopfield, patterns: Tensor) -> Tensor:
    """(P,) whole numbers: how many units of each pattern (P, N) may be flipped, whichever, and be set right by one
    sweep, of all at once or one after the other; −1 where the pattern itself is not stable.

    Unit i's field towards ξ_i is least if the k units that support it most are flipped: h_i − 2 Σ of the k largest
    w_ij ξ_i ξ_j > 0. Units set right support others no less, so the order does not matter.

    >>> network = rv.energies.Hopfield.store(torch.ones(1, 9))  # 9 units, one pattern: the field is 8 − 2 k
    >>> rv.verify.hopfield_radius(network, torch.ones(1, 9)).tolist()
    [3]
    """
    W, b = network.weight.detach().double(), network.bias.detach().double()
    x = torch.as_tensor(patterns).detach().double()
    if x.ndim != 2 or x.shape[1] != len(W) or not bool((x.abs() == 1).all()):
        raise ValueError(f"patterns have the shape {tuple(x.shape)}; expected (P, {len(W)}) of 1 and -1")
    radii = []
    for pattern in x:
        support = W * pattern[:, None] * pattern
        field = support.sum(1) + b * pattern
        most = support.clamp(min=0.0).sort(1, descending=True).values.cumsum(1)
        slack = (len(W) + 16) * EPS * (support.abs().sum(1) + b.abs()) * 4
        loss = torch.cat([torch.zeros(len(W), 1, dtype=torch.float64), 2 * most], 1)
        stable = ((field - slack)[:, None] > loss).all(0)
        radii.append(int(stable.long().cumprod(0).sum()) - 1)
    return torch.tensor(radii)


def continuous_basin(
    network: ContinuousHopfield, state: Tensor, *, most: float = 4.0, halvings: int = 30
) -> float:
    """The half width found of a box around an equilibrium u* (N,) that no run leaves, and within which all runs come
    together at u*; 0 where none is shown.

    In it the flow points inwards on every face, and max_i (−1/τ + w_ii g_i + Σ_j |w_ij| g_j) < 0, g the greatest slopes
    of the activations: a matrix measure of the Jacobian (Sontag 2010). Of activations tanh(β u).

    >>> network = rv.energies.ContinuousHopfield(0.5 * torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    >>> rv.verify.continuous_basin(network, torch.zeros(2)) > 3.9  # weak coupling: all runs come to 0
    True
    """
    beta = getattr(network.lagrangian, "beta", None)
    if type(network.lagrangian).__name__ != "Tanh" or beta is None:
        raise ValueError(f"the activations are {network.lagrangian}; expected Tanh(beta)")
    W = network.weight.detach().double()
    W, theta = (W + W.T) / 2, network.threshold.detach().double()
    u = torch.as_tensor(state).detach().double()

    def holds(radius: float) -> bool:
        l, h = u - radius, u + radius
        low, high = (torch.tanh(beta * v) for v in (l, h))
        low, high = low - 1e-14, high + 1e-14
        pull_low = W.clamp(min=0) @ low + W.clamp(max=0) @ high
        pull_high = W.clamp(min=0) @ high + W.clamp(max=0) @ low
        slack = (len(W) + 16) * EPS * (W.abs().sum(1) + theta.abs() + h.abs().maximum(l.abs()) / network.tau)
        inwards = (pull_high - theta - h / network.tau < -slack) & (pull_low - theta - l / network.tau > slack)
        nearest = torch.where((l <= 0) & (h >= 0), 0.0, torch.minimum(l.abs(), h.abs()))
        g = beta * f.HyperbolicTangent().slope(beta * nearest) * (1 + 1e-12)
        diagonal = W.diagonal().clamp(min=0) * g
        others = (W.abs() * g).sum(1) - W.diagonal().abs() * g
        return bool(inwards.all() & (diagonal + others - 1 / network.tau < -slack).all())

    good, bad = 0.0, most
    start = 1e-6
    while start < most and not holds(start):
        start *= 4
    if start >= most:
        return 0.0
    good = start
    for _ in range(halvings):
        middle = 0.5 * (good + bad)
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return good


def modern_basin(network: ModernHopfield, pattern: Tensor, *, most: float = 2.0, halvings: int = 16) -> float:
    """The half width found of a box around a stored pattern (N,) that the update softmax(β x Xᵀ) X maps into itself, so
    that retrieval from anywhere in it never leaves it; 0 where none is shown.

    >>> network = rv.energies.ModernHopfield(torch.eye(3), beta=20.0)
    >>> rv.verify.modern_basin(network, torch.eye(3)[0]) > 0.2
    True
    """
    X, beta = network.patterns.detach().double(), float(network.beta)
    x = torch.as_tensor(pattern).detach().double()
    builder = Builder((1, X.shape[1]), "update")
    similar = builder.matmul(builder.input, beta * X.T)
    graph = builder.graph(builder.matmul(builder.softmax(similar, 1), X))

    def holds(radius: float) -> bool:
        low, high = bounds(graph, (x - radius)[None, None], (x + radius)[None, None])
        return bool((low[0, 0] >= x - radius).all() & (high[0, 0] <= x + radius).all())

    good, bad = 0.0, most
    for k in range(halvings):
        radius = most * 0.5 ** (halvings - k)
        if holds(radius):
            good = radius
        elif good:
            bad = radius
            break
    if not good:
        return 0.0
    for _ in range(8):
        middle = 0.5 * (good + bad)
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return good


__all__ = [
    "Contraction", "continuous_basin", "contraction", "hopfield_radius", "modern_basin", "tanh_gains",
]  # fmt: skip
