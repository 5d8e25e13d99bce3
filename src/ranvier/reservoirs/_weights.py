"""A reservoir's fixed weights: how they are drawn, taken from a given matrix, scaled and adapted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, issparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackNoConvergence, eigs

from ranvier.reservoirs import _units

_NONE = np.zeros(0, np.int64)
#: units up to which all eigenvalues are computed; products and vectors of a search for the largest, and its residual
SMALL, PRODUCTS, VECTORS, RESIDUAL = 200, 400, 60, 1e-8


@dataclass(frozen=True)
class ReservoirWeights:
    """inputs (units, heard): of the columns that units hear; bias (units,); leak.

    Between units: shifts (in_degree,) and ring (in_degree, units), unit i listening to i + shift with ring[., i], in
    float32 (half the memory to read in every step; sums are in the precision of the series); and starts, sources,
    values, the rows of a sparse matrix [target, source].
    """

    inputs: np.ndarray
    bias: np.ndarray
    leak: float
    shifts: np.ndarray
    ring: np.ndarray
    starts: np.ndarray
    sources: np.ndarray
    values: np.ndarray

    def arrays(self, kind: np.dtype[Any]) -> tuple[Any, ...]:
        """What the compiled loops take, in one precision."""
        inputs, bias, values = (np.ascontiguousarray(a, kind) for a in (self.inputs.T, self.bias, self.values))
        return inputs, bias, self.shifts, self.ring, self.starts, self.sources, values, kind.type(self.leak)

    def run(self, X: np.ndarray, state: np.ndarray, out: np.ndarray) -> np.ndarray:
        """States of rows X (T, heard) into `out` (T, units); the last one."""
        rows, start = np.ascontiguousarray(X), state.astype(X.dtype)
        return _units.run(rows, *self.arrays(X.dtype), start, out)  # type: ignore[call-arg]

    def matrix(self) -> csr_matrix:
        """[target, source]."""
        units = len(self.bias)
        if len(self.starts):
            return csr_matrix((self.values, self.sources, self.starts), (units, units))
        return ring_matrix(self.shifts, self.ring)

    def adapted(self, series: list[np.ndarray], target: IntrinsicPlasticity) -> ReservoirWeights:
        """With gains and biases that intrinsic plasticity finds on the series."""
        kind = np.dtype(float)
        inputs, bias, *between, leak = self.arrays(kind)
        gain, bias = np.ones(len(bias)), bias.copy()
        for _ in range(target.epochs):
            for x in series:
                _units.adapt(  # type: ignore[call-arg]
                    x.astype(float), inputs, bias, *between, leak, np.zeros(len(bias)), gain, target.mean,
                    target.deviation, target.rate,
                )  # fmt: skip
        values = self.values * np.repeat(gain, np.diff(self.starts)) if len(self.starts) else self.values
        return replace(self, inputs=self.inputs * gain[:, None], bias=bias, ring=(self.ring * gain).astype(np.float32),
                       values=values)  # fmt: skip


@dataclass(frozen=True)
class IntrinsicPlasticity:
    """Units adapt gain and bias to the input, until their activity is as near to a Gaussian law as they can make it
    (Triesch 2005; Schrauwen, Wardermann, Verstraeten, Steil & Stroobandt 2008, for tanh).

    mean, deviation : of the law, within the units' range (−1, 1).
    rate : of the change a row. epochs : passes through the series before the readout is learned.

    >>> series = np.sin(0.3 * np.arange(300))[:, None]
    >>> plasticity = rv.reservoirs.IntrinsicPlasticity(deviation=0.2, rate=5e-3)
    >>> units = rv.reservoirs.ReservoirTransformer(50, input_scaling=3.0, plasticity=plasticity, random_state=0)
    >>> bool(units.fit(series).transform(series).std() < 0.4)  # 0.8 without
    True
    """

    mean: float = 0.0
    deviation: float = 0.2
    rate: float = 1e-3
    epochs: int = 5

    def __post_init__(self) -> None:
        if not (-1 < self.mean < 1 and 0 < self.deviation < 1 and 0 < self.rate < 1):
            raise ValueError(f"{self}; expected mean within (-1, 1), deviation and rate within (0, 1)")
        if not isinstance(self.epochs, int) or self.epochs < 1:
            raise ValueError(f"epochs = {self.epochs!r}; expected a whole number of at least 1")


def draw(units: int, in_degree: int, radius: float, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Shifts (in_degree,) and weights (in_degree, units): unit i listens to i + shift with weight[., i].

    The shifts are the same for all units, so that a compiled loop reads the states in order (ten times faster than
    from random places); the weights are independent, in float32, and their radius right to 1e-7. Every unit has
    `in_degree` sources and targets, none its own.
    """
    shifts = np.sort(random.choice(np.arange(1, units), in_degree, replace=False))
    weights = random.uniform(-1, 1, (in_degree, units)).astype(np.float32)
    if units < SMALL:
        drawn = _dense_radius(ring_matrix(shifts, weights))
    else:
        drawn = _radius((shifts, weights, _NONE, _NONE, np.zeros(0)), ring_matrix(shifts, weights), random)
    return shifts, (weights * (radius / drawn)).astype(np.float32) if drawn > 0 else weights


def scaled(W: Any, radius: float | None, random: np.random.RandomState) -> csr_matrix:
    """A matrix [target, source] of the user's, scaled to a spectral radius unless that is None.

    Raises ValueError for a shape that is not square, weights that are not finite, and a radius requested of a matrix
    without cycles, whose radius is 0.
    """
    matrix = W if issparse(W) else np.asarray(W)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"W is of shape {matrix.shape}; expected (units, units), [target, source]")
    matrix = csr_matrix(matrix, dtype=float)
    if not np.isfinite(matrix.data).all():
        raise ValueError("W holds weights that are not finite; expected finite ones")
    if radius is None:
        return matrix
    own = spectral_radius(matrix, random)
    if own == 0.0:
        raise ValueError("W has no cycles, and so a spectral radius of 0; expected spectral_radius=None with it")
    return matrix * (radius / own)


def ring_matrix(shifts: np.ndarray, weights: np.ndarray) -> csr_matrix:
    """[target, source]."""
    units = weights.shape[1]
    targets = np.broadcast_to(np.arange(units), weights.shape)
    sources = (targets + shifts[:, None]) % units
    return csr_matrix((weights.ravel().astype(float), (targets.ravel(), sources.ravel())), (units, units))


def spectral_radius(W: csr_matrix, random: np.random.RandomState) -> float:
    """Largest modulus of an eigenvalue, to 1e-7 of it; 0.0 where no cycle has weights."""
    W = csr_matrix(W, copy=True)
    W.eliminate_zeros()
    largest = float(np.abs(W.diagonal()).max(initial=0.0))
    _, labels = connected_components(W, connection="strong")
    order, sizes = np.argsort(labels, kind="stable"), np.bincount(labels)
    for last, size in zip(np.cumsum(sizes)[sizes > 1], sizes[sizes > 1], strict=True):
        part = order[last - size : last]  # units that are joined by cycles: eigenvalues are those of such parts
        block = W if size == W.shape[0] else W[part][:, part]
        if size < SMALL:
            radius = _dense_radius(block)
        else:
            rows = block.indptr.astype(np.int64), block.indices.astype(np.int64), block.data
            radius = _radius((_NONE, np.zeros((0, size), np.float32), *rows), block, random)
        largest = max(largest, radius)
    return largest


def _dense_radius(W: csr_matrix) -> float:
    return float(np.abs(np.linalg.eigvals(W.toarray())).max(initial=0.0))


def _radius(between: tuple[np.ndarray, ...], W: csr_matrix, random: np.random.RandomState) -> float:
    """By Arnoldi's method from W^400 v. Eigenvalues of random weights fill a disc, where no other polynomial of W
    makes the largest stand out more (their moduli are close), and products cost less than keeping vectors orthogonal.
    """
    vector, before = random.uniform(-1, 1, W.shape[0]), 1.0
    while True:
        vector, _ = _units.powers(*between, vector, PRODUCTS)  # type: ignore[call-arg]
        basis, H = np.empty((VECTORS + 1, len(vector))), np.zeros((VECTORS + 1, VECTORS))
        basis[0] = vector
        for k in range(VECTORS):
            product, length = _units.powers(*between, basis[k], 1)  # type: ignore[call-arg]
            product *= length
            for _ in range(2):  # twice is enough (Parlett 1998, 6.9)
                share = basis[: k + 1] @ product
                product -= share @ basis[: k + 1]
                H[: k + 1, k] += share
            H[k + 1, k] = rest = np.linalg.norm(product)
            basis[k + 1] = product / rest if rest > 0 else 0.0
        values, vectors = np.linalg.eig(H[:-1])
        moduli = np.abs(values)
        top = np.argsort(-moduli)[:8]
        residual = H[-1, -1] * np.abs(vectors[-1, top[0]])
        if residual <= RESIDUAL * moduli[top[0]]:
            return float(moduli[top[0]])
        if not residual <= 0.1 * before:
            break
        vector, before = (vectors[:, top].sum(1) @ basis[:-1]).real, residual
        vector /= np.linalg.norm(vector)
    try:  # eigenvalues of one modulus, as those of a ring
        largest = eigs(W, k=2, ncv=100, tol=1e-6, v0=random.uniform(size=W.shape[0]), return_eigenvectors=False)
    except ArpackNoConvergence:
        return _dense_radius(W)
    return float(np.abs(largest).max())


def build(
    units: int, W: Any, heard: int, *, radius: float | None, leak: float, input_scaling: np.ndarray | float,
    bias_scaling: float, connectivity: float, random: np.random.RandomState,
) -> ReservoirWeights:  # fmt: skip
    """Fresh weights of a reservoir that hears `heard` columns, scaled one by one or all alike."""
    if W is None:
        degree = min(max(1, round(connectivity * units)), units - 1)
        shifts, ring = draw(units, degree, 0.9 if radius is None else radius, random)
        starts, sources, values = _NONE, _NONE, np.zeros(0)
    else:
        matrix = scaled(W, radius, random)
        units = matrix.shape[0]
        shifts, ring = _NONE, np.zeros((0, units), np.float32)
        starts, sources, values = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data
    inputs = random.uniform(-1, 1, (units, heard)) * input_scaling
    bias = random.uniform(-1, 1, units) * bias_scaling
    return ReservoirWeights(inputs, bias, float(leak), shifts, ring, starts, sources, values)
