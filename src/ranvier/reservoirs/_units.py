"""The echo-state reservoir's random matrices and its compiled run."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import ArpackNoConvergence, eigs

from ranvier.codegen.compilation import compiled
from ranvier.codegen.simd import tanh

FASTMATH = {"contract", "nsz", "arcp", "reassoc"}


def draw(units: int, in_degree: int, radius: float, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Shifts (in_degree,) and weights (in_degree, units): unit i listens to i + shift with weight[., i].

    The shifts are the same for all units, so that a compiled loop reads the states in order (ten times faster than
    from random places); the weights are independent. Every unit has `in_degree` sources and targets, none its own.
    """
    shifts = np.sort(random.choice(np.arange(1, units), in_degree, replace=False))
    weights = random.uniform(-1, 1, (in_degree, units))
    found = spectral_radius(matrix(shifts, weights), random)
    return shifts, weights * (radius / found) if found > 0 else weights


def matrix(shifts: np.ndarray, weights: np.ndarray) -> csr_matrix:
    """[target, source]."""
    units = weights.shape[1]
    targets = np.broadcast_to(np.arange(units), weights.shape)
    sources = (targets + shifts[:, None]) % units
    return csr_matrix((weights.ravel(), (targets.ravel(), sources.ravel())), (units, units))


def spectral_radius(W: csr_matrix, random: np.random.RandomState) -> float:
    """Largest modulus of an eigenvalue."""
    if W.shape[0] < 200:
        return float(np.abs(np.linalg.eigvals(W.toarray())).max(initial=0.0))
    try:
        # the largest eigenvalues of random weights lie close to each other: with 60 vectors at once it found, for one
        # network in four, another than the largest; at this tolerance the radius is right to 1e-7
        found = eigs(
            W, k=2, ncv=100, tol=1e-6, which="LM", v0=random.uniform(size=W.shape[0]), return_eigenvectors=False
        )
    except ArpackNoConvergence:
        return float(np.abs(np.linalg.eigvals(W.toarray())).max())
    return float(np.abs(found).max())


@compiled(error_model="numpy", fastmath=FASTMATH)
def advance(u, inputs, bias, shifts, weights, leak, twice, total):
    """One step: `twice` (2 units,) holds the state two times over and is changed; `total` (units,) becomes it."""
    units, fours = len(bias), len(shifts) // 4 * 4
    total[:] = bias
    for j in range(len(u)):
        for i in range(units):
            total[i] += inputs[j, i] * u[j]
    for k in range(0, fours, 4):  # four at once: as many fewer passes over `total`
        a, b, c, d = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        p, q = twice[shifts[k] : shifts[k] + units], twice[shifts[k + 1] : shifts[k + 1] + units]
        r, s = twice[shifts[k + 2] : shifts[k + 2] + units], twice[shifts[k + 3] : shifts[k + 3] + units]
        for i in range(units):
            total[i] += a[i] * p[i] + b[i] * q[i] + c[i] * r[i] + d[i] * s[i]
    for k in range(fours, len(shifts)):
        row, moved = weights[k], twice[shifts[k] : shifts[k] + units]
        for i in range(units):
            total[i] += row[i] * moved[i]
    for i in range(units):
        new = twice[i] + leak * (tanh(total[i]) - twice[i])
        total[i] = new
        twice[i] = new
        twice[units + i] = new


@compiled(error_model="numpy", fastmath=FASTMATH)
def run(X, inputs, bias, shifts, weights, leak, state, out):
    """r <- (1 - leak) r + leak tanh(W_in x + b + W r) for each row of X (T, d), into the rows of `out` (T, units)."""
    twice, total = np.concatenate((state, state)), np.empty_like(state)
    for t in range(len(X)):
        advance(X[t], inputs, bias, shifts, weights, leak, twice, total)
        out[t] = total
    return total if len(X) else state


@compiled(error_model="numpy", fastmath=FASTMATH)
def roll(last, inputs, bias, shifts, weights, leak, state, readout, direct, difference, steps):
    """The same, fed by its own outputs; readout (d, units + direct (1 + d))."""
    d, units = inputs.shape
    twice, total = np.concatenate((state, state)), np.empty_like(state)
    u, out = last.copy(), np.empty((steps, d))
    for t in range(steps):
        advance(u, inputs, bias, shifts, weights, leak, twice, total)
        for j in range(d):
            a = u[j] if difference else 0.0
            row = readout[j]
            for i in range(units):
                a += row[i] * total[i]
            if direct:
                a += row[units]
                for m in range(d):
                    a += row[units + 1 + m] * u[m]
            out[t, j] = a
        u[:] = out[t]
    return out
