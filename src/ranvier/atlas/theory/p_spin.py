"""The spherical p-spin glass: its energies, how many minima lie where, and where gradient descent ends."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq

from ranvier.atlas import COLOURS, AtMost, Claim, Experiment, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

#: energies per spin (E_infinity, E_0), Auffinger, Ben Arous and Cerny's theorems evaluated
ENERGIES = {3: (1.632993, 1.656998), 4: (1.732051, 1.794085)}
RUNS = {"small": {25: 24, 50: 12, 100: 6}, "full": {25: 96, 50: 48, 100: 24, 200: 12}}


def measure(seed: int, size: Size, more: int = 0, steps: int = 3000) -> dict[str, Any]:
    """Energies in closed form, and where gradient descent ends (p = 3).

    more: added to p in the closed forms. steps: of gradient descent.
    """
    metrics: dict[str, Any] = {}
    for p in ENERGIES:
        metrics |= {f"E_inf_{p}": threshold(p + more), f"E_0_{p}": ground(p + more)}
    metrics["complexity"] = complexity(3 + more, -threshold(3 + more))
    rng = np.random.default_rng(seed)
    ends = {N: np.array([descend(N, steps, rng) for _ in range(n)]) for N, n in RUNS[size].items()}
    sizes = np.array(list(ends), dtype=float)
    energies = np.array([e[:, 0].mean() for e in ends.values()])
    errors = np.array([e[:, 0].std(ddof=1) / len(e) ** 0.5 for e in ends.values()])
    limit, error = extrapolated(sizes, energies, errors)
    return metrics | {
        "limit": limit,
        "limit_error": 3 * error + 0.015,
        "trend": float(np.diff(energies).max()),
        "curvature": float(max(-e[:, 1].min() for e in ends.values())),
        "mean_100": float(energies[sizes == 100][0]),
        "sizes": sizes,
        "energies": energies,
        "errors": errors,
    }


def threshold(p: int) -> float:
    """E_infinity: above -E_infinity (per spin) nearly all critical points are saddles of high index."""
    return 2 * math.sqrt((p - 1) / p)


def complexity(p: int, u: float) -> float:
    """(1/N) log of the mean number of minima below the energy N u, for u <= -E_infinity."""
    E = threshold(p)
    I_1 = 2 / E**2 * quad(lambda z: math.sqrt(max(z * z - E * E, 0.0)), u, -E)[0]
    return 0.5 * math.log(p - 1) - (p - 2) * u * u / (4 * (p - 1)) - I_1


def ground(p: int) -> float:
    """E_0: the complexity's zero, minus the energy per spin of the ground state."""
    return -brentq(lambda u: complexity(p, u), -threshold(p) - 1.0, -threshold(p), xtol=1e-12)


def descend(N: int, steps: int, rng: np.random.Generator) -> tuple[float, float]:
    """Energy per spin where descent on H = N^-1 sum J_ijk s_i s_j s_k, |s|^2 = N, ends from a random start,
    and the smallest eigenvalue of the Hessian on the sphere there."""
    J = rng.normal(size=(N, N, N))
    J = sum((J.transpose(order) for order in itertools.permutations(range(3))), np.zeros((N, N, N)))
    J /= 6 * N
    s = rng.normal(size=N)
    s *= math.sqrt(N) / np.linalg.norm(s)
    flat, rate = J.reshape(N * N, N), 0.08
    for _ in range(steps):
        pull = 3 * ((flat @ s).reshape(N, N) @ s)
        pull -= s * (pull @ s) / N
        if np.abs(pull).max() < 1e-6:
            break
        s -= rate * pull
        s *= math.sqrt(N) / np.linalg.norm(s)
    field = (flat @ s).reshape(N, N)
    energy = float(s @ field @ s)
    away = np.eye(N) - np.outer(s, s) / N
    hessian = away @ (6 * field - 3 * energy / N * np.eye(N)) @ away + 100 * np.outer(s, s) / N
    return energy / N, float(np.linalg.eigvalsh(hessian)[0])


def extrapolated(sizes: np.ndarray, energies: np.ndarray, errors: np.ndarray) -> tuple[float, float]:
    """(limit, its standard error) of energy = limit + slope N^(-2/3), by least squares."""
    design = np.stack([np.ones_like(sizes), sizes ** (-2 / 3)], 1) / errors[:, None]
    covariance = np.linalg.inv(design.T @ design)
    fit = covariance @ design.T @ (energies / errors)
    return float(fit[0]), float(math.sqrt(covariance[0, 0]))


def descent(material: dict[str, Any]) -> Figure:
    """Where descent ends, against N."""
    figure, axis = canvas(5.2, 3.0)
    x = material["sizes"] ** (-2 / 3)
    axis.errorbar(x, material["energies"], 2 * material["errors"], fmt="o", ms=4, color=COLOURS[0])
    axis.axline((0.0, material["limit"]), (x[-1], material["energies"][-1]), color=COLOURS[0], lw=0.8)
    for energy, text in zip(ENERGIES[3], ("threshold", "ground state"), strict=True):
        axis.axhline(-energy, color=COLOURS[5], lw=0.8)
        axis.annotate(text, (x.max(), -energy), ha="right", va="bottom", fontsize=7, color=COLOURS[5])
    axis.set(xlabel="N^(−2/3)", ylabel="energy per spin")
    return figure


THEOREM = "Auffinger, Ben Arous and Cerny (2013)"
DIGITS = "the last digit given"


def _energies() -> list[Claim]:
    claims = []
    for p, (infinity, zero) in ENERGIES.items():
        claims += [
            Claim(
                f"With {p} spins an interaction, minima lie below minus {infinity} a spin, saddles above.",
                THEOREM, f"E_inf_{p}", infinity, 1e-6, DIGITS, {"more": 1, "steps": 1},
            ),
            Claim(
                f"With {p} spins an interaction, the ground state has minus {zero} a spin.",
                THEOREM, f"E_0_{p}", zero, 1e-6, DIGITS, {"more": 1, "steps": 1},
            ),
        ]  # fmt: skip
    return claims


register(
    Experiment(
        name="p_spin",
        title="The spherical p-spin glass, and loss surfaces",
        paper="A. Auffinger, G. Ben Arous and J. Cerny (2013). Random matrices and complexity of spin glasses. "
        "Commun. Pure Appl. Math. 66:165-201.",
        doi="10.1002/cpa.21422",
        summary="H = N^(−(p−1)/2) Σ J s…s on the sphere |s|² = N: all minima lie in a narrow band of energies. "
        "Choromanska et al. (2015) read it as the loss of a network of p layers; that assumes that paths through "
        "the network are independent, their inputs Gaussian, each weight equally frequent on them, and rectifiers "
        "open at random, none of which holds in a trained network. The link is an analogy; what is checked here "
        "is the glass.",
        claims=(
            *_energies(),
            Claim(
                "There are exp(0.0132403 N) minima below the threshold energy (p = 3).",
                THEOREM,
                "complexity",
                0.0132403,
                1e-7,
                DIGITS,
                {"more": 1, "steps": 1},
            ),
            Claim(
                "Gradient descent from a random start ends the lower, the larger the system.",
                "runs of this entry",
                "trend",
                AtMost(0.0),
                0.0,
                "none: means of independent samples",
                {"steps": 1},
            ),
            Claim(
                "Extrapolated in N it ends at the threshold energy (from which the ground state, 0.024 lower, "
                "cannot be told at this accuracy).",
                "Cugliandolo and Kurchan (1993), for long times and large N",
                "limit",
                -ENERGIES[3][0],
                "limit_error",
                "three standard errors, and 0.015 for the exponent −2/3 of the extrapolation",
                {"steps": 20},
            ),
            Claim(
                "It ends in minima: no direction on the sphere leads down.",
                "the Hessian's smallest eigenvalue",
                "curvature",
                AtMost(0.0),
                1e-2,
                "descent along nearly flat directions is stopped after 3000 steps",
                {"steps": 20},
            ),
        ),
        measure=measure,
        pictures={"Where gradient descent ends (bars: two standard errors), extrapolated.": descent},
    )
)
