"""First integrals: how many a motion has, by the dimension that it fills, and which, in a library of functions."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ranvier.atlas import COLOURS, AtMost, Claim, Experiment, Size, canvas, register
from ranvier.dynamics import (
    ManifoldDimension,
    field_invariants,
    integrate,
    leapfrog,
    manifold_dimension,
    monomials,
    systems,
    trajectory_invariants,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

F64 = torch.float64
INVERSE = {"1/r": lambda x: 1 / x[:, :2].norm(dim=1)}


@lru_cache(maxsize=8)
def motion(name: str) -> Tensor:
    """Points (P, d) of one motion; of chaotic ones of forty copies that begin 1e-6 apart."""
    match name:
        case "oscillator":
            return _line(systems.oscillator(1.0), [1.0, 0.0], 0.1, 800)
        case "kepler":
            return _line(systems.kepler(), [1.5, 0.0, 0.0, 0.577], 0.04, 1500)
        case "tori":  # Hénon and Heiles at E = .05, below the onset of chaos at 1/12
            return _line(systems.henon_heiles(), [0.0, 0.1, 0.3, 0.0], 0.2, 12_000, 2)
        case "chaos":  # and at E = .160, below the escape at 1/6
            x = _copies([0.0, -0.1, 0.5567, 0.0])
            return systems.henon_heiles().run(x, 0.2, 1000)[300:].reshape(-1, 4)
        case _:  # the double pendulum at E = .29, its angles as points on circles
            x = integrate(systems.double_pendulum().field, _copies([2.0, 1.0, 0.0, 0.0]), 0.05, 1200, "rk4", 2)[200:]
            x = x.reshape(-1, 4)
            return torch.cat([x[:, :2].cos(), x[:, :2].sin(), x[:, 2:]], 1)


def _line(system: systems.System, start: list[float], dt: float, steps: int, every: int = 1) -> Tensor:
    return system.run(torch.tensor([start], dtype=F64), dt, steps, every)[:, 0]


def _copies(start: list[float]) -> Tensor:
    noise = torch.randn(40, len(start), dtype=F64, generator=torch.Generator().manual_seed(0))
    return torch.tensor([start], dtype=F64) + 1e-6 * noise


@lru_cache(maxsize=64)
def diagram(name: str, seed: int, steps: int, scales: tuple[float, ...]) -> ManifoldDimension:
    """The explained-ratio diagram of a motion."""
    narrow = name in ("oscillator", "kepler")
    width, steps = (128, min(steps, 400)) if narrow and steps <= 600 else (256, steps)
    return manifold_dimension(motion(name).float(), scales, width=width, steps=steps, seed=seed)


def measure(
    seed: int, size: Size, training: float = 1.0, inverse: bool = True, split: bool = True, damping: float = 0.0
) -> dict[str, Any]:
    """Conserved quantities counted and written down, and the energy's drift.

    training: of the denoiser, in parts of the whole. inverse: whether 1/r belongs to the library. split: whether
    energies are kept by leapfrogs, else by a Runge-Kutta method of the same order. damping: of the motions among whose
    functions invariants are looked for.
    """
    scales = {"small": (0.2,), "full": (0.1, 0.2, 0.3, 0.4)}[size]
    steps = max(1, round({"small": 600, "full": 2000}[size] * training))
    names = ("oscillator", "kepler", "chaos", "pendulum") + (("tori",) if size == "full" else ())
    diagrams = {name: diagram(name, seed, steps, scales) for name in names}
    at = scales.index(0.2)
    counted = {
        f"{name}_count": float(d.conserved(2 if name == "oscillator" else 4)[at]) for name, d in diagrams.items()
    }
    return {
        "tori_count": None, **counted, **written(seed, inverse, damping), "drift": drift(split),
        "diagrams": {name: d.ratios[at].tolist() for name, d in diagrams.items()},
    }  # fmt: skip


@lru_cache(maxsize=8)
def written(seed: int, inverse: bool, damping: float) -> dict[str, float]:
    """Numbers of independent invariants in libraries of monomials, and how far Kepler's energy is from a textbook's."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(500, 4, dtype=F64, generator=generator) - 0.5
    library = monomials("xyuv", 3, INVERSE if inverse else None)
    far = torch.cat([x[:, :2] + 0.7 * x[:, :2].sign(), x[:, 2:]], 1)

    def rank(system: systems.System, at: Tensor) -> float:
        def damped(z: Tensor) -> Tensor:
            return system.field(z) - damping * torch.cat([0 * z[:, :2], z[:, 2:]], 1)

        return float(field_invariants(damped, at, monomials("xyuv", 3)).rank)

    kepler = field_invariants(systems.kepler().field, far, library)
    start = torch.tensor([[1.2, 0.0, 0.0, 0.7]], dtype=F64) + 0.3 * x[:100]
    runs = systems.kepler().run(start, 0.01, 400, every=10)
    energies = systems.kepler().invariants["energy"](far)
    worst = 1.0
    for H in kepler(far).T:
        slope = torch.linalg.lstsq(torch.stack([H, torch.ones_like(H)], 1), energies[:, None])
        error = torch.stack([H, torch.ones_like(H)], 1) @ slope.solution - energies[:, None]
        worst = min(worst, float(error.std() / energies.std()))
    return {
        "kepler_rank": float(kepler.rank),
        "kepler_runs": float(trajectory_invariants(runs, library, 1e-5).rank),
        "kepler_energy": worst,
        "henon_rank": rank(systems.henon_heiles(), x),
        "oscillators": rank(systems.oscillator(1.0, 2**0.5), x),
    }


@lru_cache(maxsize=2)
def drift(split: bool) -> float:
    """Of Kepler's energy in its second half over that in its first, of 24 revolutions of an eccentric orbit."""
    system, x = systems.kepler(), torch.tensor([[1.5, 0.0, 0.0, 0.577]], dtype=F64)
    assert system.split is not None
    if split:
        run = leapfrog(*system.split, x, 0.1, 1500, order=4)[:, 0]
    else:
        run = integrate(system.field, x, 0.1, 1500, "rk4")[:, 0]
    error = (system.invariants["energy"](run) - system.invariants["energy"](x)).abs()
    half = len(error) // 2
    return float(error[half:].max() / error[:half].max())


def ratios(material: dict[str, Any]) -> Figure:
    """What is left of walks, by direction."""
    figure, axis = canvas(5.5, 3)
    for k, (name, row) in enumerate(material["diagrams"].items()):
        axis.plot(range(1, len(row) + 1), row, "o-", color=COLOURS[k], label=name)
    axis.axhline(0.4, color=COLOURS[5], lw=0.8, ls=":")
    axis.set(xlabel="direction", ylabel="variance left after the pull", ylim=(0, 1.5), xticks=range(1, 7))
    axis.legend()
    return figure


POINCARE = "Liu & Tegmark (2021), Phys. Rev. Lett. 126:180604"

register(
    Experiment(
        name="first_integrals",
        title="First integrals",
        paper="Z. Liu and M. Tegmark (2021). Machine learning conservation laws from trajectories. Phys. Rev. Lett. "
        "126:180604; Z. Liu, V. Madhavan and M. Tegmark (2022). Machine learning conservation laws from differential "
        "equations. Phys. Rev. E 106:045307.",
        doi="10.1103/PhysRevLett.126.180604",
        summary="A motion that conserves k quantities fills a manifold of k dimensions less than its phase space: "
        "walks off it are pulled back by a denoiser, and what is left of them counts its dimensions. Which quantities "
        "they are is linear algebra: combinations of a library whose gradient is orthogonal to the field.",
        claims=(
            Claim(
                "An oscillator's orbit tells of one conserved quantity.",
                POINCARE, "oscillator_count", 1.0, 0.0, "counted", {"training": 0.0},
            ),
            Claim(
                "A planet's orbit tells of three.",
                POINCARE, "kepler_count", 3.0, 0.0, "counted", {"training": 0.0},
            ),
            Claim(
                "A chaotic double pendulum conserves only its energy.",
                POINCARE, "pendulum_count", 1.0, 0.0, "counted", {"training": 0.05},
            ),
            Claim(
                "In Hénon and Heiles' chaos, at E = .16, only the energy is conserved.",
                "Hénon & Heiles (1964), Astron. J. 69:73", "chaos_count", 1.0, 0.0, "counted", {"training": 0.0},
            ),
            Claim(
                "At E = .05 its motions keep to tori, as if there were a second one.",
                "Hénon & Heiles (1964), Astron. J. 69:73", "tori_count", 2.0, 0.0, "counted", {"training": 0.0},
                only="full size",
            ),
            Claim(
                "Monomials of degree 3 with 1/r hold three independent invariants of Kepler's problem.",
                "Kepler's problem: energy, angular momentum, axis", "kepler_rank", 3.0, 0.0, "counted",
                {"inverse": False},
            ),
            Claim(
                "Trajectories alone, without the field, tell of the same three.",
                "Kepler's problem: energy, angular momentum, axis", "kepler_runs", 3.0, 0.0, "counted",
                {"inverse": False},
            ),
            Claim(
                "One of them is the energy.",
                "H = p²/2 - 1/r", "kepler_energy", AtMost(0.0), 1e-9, "rounding of a null space of 55 functions",
                {"inverse": False},
            ),
            Claim(
                "Hénon and Heiles' system has one polynomial invariant of degree 3, its energy.",
                "Hénon & Heiles (1964), Astron. J. 69:73", "henon_rank", 1.0, 0.0, "counted", {"damping": 0.05},
            ),
            Claim(
                "Two incommensurate oscillators have two.",
                "their energies", "oscillators", 2.0, 0.0, "counted", {"damping": 0.05},
            ),
            Claim(
                "A symplectic method's error of the energy does not grow: it is the same in both halves of a run.",
                "Hairer, Lubich & Wanner (2006), theorem IX.8.1", "drift", 1.0, 0.1,
                "the phase at which an ellipse is sampled", {"split": False},
            ),
        ),
        measure=measure,
        pictures={"What is left of walks off a motion, by direction; above the line a dimension counts.": ratios},
    )
)  # fmt: skip
