"""Least squares (1805, 1809): the first linear network, its errors, and that no linear unbiased rule does better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, Size, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def measure(
    seed: int, size: Size, step: float = 0.4, correlated: float = 0.0, drop: int = 0, shrink: float = 1.0
) -> dict[str, Any]:
    """Least squares by Legendre's equations, by a network that descends, and Gauss's errors.

    step: of the descent, over the inverse of the largest curvature. correlated: share of the noise that rows have in
    common with their regressor. drop: rows that the fit does not see. shrink: factor on the other rule's
    weights; below 1 it is biased.
    """
    rng = np.random.default_rng(seed)
    n, d, noise = 40, 4, 0.3
    X = rng.standard_normal((n, d)) * [1.0, 0.7, 0.5, 0.3]
    truth = np.array([1.0, -2.0, 0.5, 3.0])
    y = X @ truth + noise * rng.standard_normal(n)
    fitted = np.linalg.solve(X[drop:].T @ X[drop:], X[drop:].T @ y[drop:])
    w = np.zeros(d)
    curvature = np.linalg.eigvalsh(X.T @ X)
    for _ in range(2000):
        w = w - step / curvature[-1] * (X.T @ (X @ w - y))
    trials = {"small": 4000, "full": 100_000}[size]
    errors = noise * rng.standard_normal((trials, n)) + correlated * X[:, 0]
    least = errors @ np.linalg.solve(X.T @ X, X.T).T
    halves = errors[:, : n // 2] @ np.linalg.solve(X[: n // 2].T @ X[: n // 2], X[: n // 2].T).T
    variance = noise**2 * np.diag(np.linalg.inv(X.T @ X))
    return {
        "orthogonal": float(np.abs(X.T @ (X @ fitted - y)).max()),
        "network": float(np.abs(w - np.linalg.lstsq(X, y)[0]).max()),
        "variance": float(np.mean(np.square(least).mean(0) / variance)),
        "variance_error": float(4 * np.sqrt(2 / trials / d)),
        "others": float((np.square(shrink * halves).mean(0) / np.square(least).mean(0)).min()),
        "least": least[:, 0],
        "halves": halves[:, 0],
    }


def spread(material: dict[str, Any]) -> Figure:
    """Errors of two unbiased rules."""
    figure, axis = canvas(4.5, 2.6)
    for k, name in enumerate(("halves", "least")):
        label = {"halves": "half of the rows", "least": "least squares"}[name]
        axis.hist(material[name], bins=60, range=(-0.4, 0.4), density=True, color=COLOURS[k], alpha=0.6, label=label)
    axis.set(xlabel="error of the first weight", yticks=[])
    axis.legend()
    return figure


register(
    Experiment(
        name="least_squares",
        title="Least squares, the first network",
        paper="A.-M. Legendre (1805). Nouvelles méthodes pour la détermination des orbites des comètes; C. F. Gauss "
        "(1809). Theoria motus corporum coelestium; (1823). Theoria combinationis observationum erroribus minimis "
        "obnoxiae.",
        summary="A layer of weights, trained on squared errors: Legendre solved for its optimum, Gauss said how far "
        "off it is, and that no other linear unbiased rule comes nearer. A linear network that learns by descent ends "
        "at the same weights.",
        claims=(
            Claim(
                "At the optimum errors are orthogonal to every input.",
                "Legendre (1805): the normal equations", "orthogonal", AtMost(0.0), 1e-12, "rounding", {"drop": 5},
            ),
            Claim(
                "A linear network that descends the squared error ends there.",
                "the loss is convex", "network", AtMost(0.0), 1e-10, "2000 steps at a rate of .4/curvature",
                {"step": 2.1},
            ),
            Claim(
                "Weights vary by sigma² (X'X)^-1.",
                "Gauss (1823)", "variance", 1.0, "variance_error", "four standard errors of four variances",
                {"correlated": 0.1},
            ),
            Claim(
                "Another unbiased rule, the fit of half the rows, varies more.",
                "Gauss (1823), the Gauss-Markov theorem", "others", AtLeast(1.0), 0.0, "a theorem",
                {"shrink": 0.5},
            ),
        ),
        measure=measure,
        pictures={"Two unbiased rules over many draws of the errors.": spread},
    )
)  # fmt: skip
