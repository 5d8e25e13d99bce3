"""What our networks conserve: antisymmetric and Hamiltonian ones, Hopfield's, and weights under gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ranvier.atlas import COLOURS, AtMost, Claim, Experiment, Size, canvas, register
from ranvier.dynamics import (
    Library,
    field_invariants,
    functions,
    integrate,
    leapfrog,
    manifold_dimension,
    monomials,
    systems,
)
from ranvier.energies import ContinuousHopfield, lagrangians, storage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

F64 = torch.float64
NEURONS = 5


def measure(
    seed: int, size: Size, symmetric: float = 0.0, memories: int = 2, dissipation: float = 0.0, tied: bool = True,
    skew: bool = False,
) -> dict[str, Any]:
    """Numbers of invariants of networks, drifts of a Hamiltonian one's energy and of a learner's balance.

    symmetric: share of a symmetric part in the antisymmetric wiring. memories: of Hopfield's network. dissipation: a
    leak of the Hamiltonian network's momenta. tied: whether hidden neurons are rectified, so that their incoming and
    outgoing weights can be scaled against each other. skew: whether three neurons are antisymmetric in place of
    Hopfield's.
    """
    generator = torch.Generator().manual_seed(seed)
    invariants, runs = antisymmetric(generator, symmetric, {"small": 300, "full": 12_000}[size])
    energy, times = hamiltonian(generator, dissipation)
    return {
        "antisymmetric": invariants,
        "fills": float(manifold_dimension(runs.float(), (0.2,)).dimension[0]) if size == "full" else None,
        "hopfield": hopfield(generator, memories),
        "recurrent": recurrent(generator, skew),
        "energy_order": energy,
        "balance": balance(generator, tied),
        "runs": runs.numpy(),
        "times": times,
    }


def library(d: int, **more: Any) -> Library:
    return functions(**{f"x{i}": lambda x, i=i: x[:, i] for i in range(d)}, **more)


def antisymmetric(generator: torch.Generator, symmetric: float, steps: int) -> tuple[float, Tensor]:
    """Invariants of dx/dt = A tanh(x) among x_i and the neurons' Lagrangians log cosh x_i, and a motion of it.

    With A antisymmetric the whole Lagrangian L = Σ log cosh x_i is conserved, as dL/dt = tanh(x)·A tanh(x) = 0; of an
    odd number of neurons so is c·x, with c A = 0.
    """
    B = torch.randn(NEURONS, NEURONS, dtype=F64, generator=generator)
    A = B - B.T + symmetric * (B + B.T)
    tanh = lagrangians.Tanh()

    def field(x: Tensor) -> Tensor:
        return tanh.activations(x) @ A.T

    each = {f"L{i}": lambda x, i=i: tanh(x[:, i : i + 1]) for i in range(NEURONS)}
    x = torch.randn(200, NEURONS, dtype=F64, generator=generator)
    result = field_invariants(field, x, library(NEURONS, **each))
    return float(result.rank), integrate(field, x[:1], 0.1, steps, "rk4")[:, 0]


def hopfield(generator: torch.Generator, memories: int) -> float:
    """Invariants among log |component| of a network in the directions that no memory touches.

    There du/dt = −u/τ: each component dies out, at one rate, so that all their ratios are conserved.
    """
    patterns = torch.randint(0, 2, (memories, 6), generator=generator).double() * 2 - 1
    patterns[:, 0] = 1.0
    patterns[0, 1:3], patterns[-1, 1:3] = 1.0, torch.tensor([1.0, -1.0] if memories > 1 else [1.0, 1.0], dtype=F64)
    weight = patterns.T @ patterns / 6
    net = ContinuousHopfield(weight)
    free = torch.linalg.eigh(weight)[1][:, :4]  # with two memories no direction of these is in their span
    x = torch.randn(200, 6, dtype=F64, generator=generator)
    logs = functions(**{f"log{i}": lambda x, i=i: (x @ free[:, i]).abs().log() for i in range(4)})
    return float(field_invariants(net.force, x, logs).rank)


def recurrent(generator: torch.Generator, skew: bool) -> float:
    """Polynomial invariants up to degree 4 of three neurons: of Hopfield's none, as its energy falls; of antisymmetric
    ones a weighted sum."""
    weight = torch.randn(3, 3, dtype=F64, generator=generator)
    net = ContinuousHopfield(weight + weight.T)
    x = torch.randn(200, 3, dtype=F64, generator=generator)

    def turning(x: Tensor) -> Tensor:
        return net.activations(x) @ (weight - weight.T)

    return float(field_invariants(turning if skew else net.force, x, monomials("abc", 4)).rank)


def hamiltonian(generator: torch.Generator, dissipation: float) -> tuple[float, list[float]]:
    """Hopfield's energy as a potential, H = E(q) + |p|²/2: the order at which its error falls with the step."""
    patterns = torch.randint(0, 2, (2, 8), generator=generator).double() * 2 - 1
    net = ContinuousHopfield(storage.hebb(patterns))
    start = torch.randn(1, 16, dtype=F64, generator=generator)

    def slope(q: Tensor) -> Tensor:
        with torch.enable_grad():
            at = q.detach().requires_grad_()
            return -torch.autograd.grad(net.energy(at).sum(), at)[0]

    system = systems.mechanical(net.energy, slope, 8)
    assert system.split is not None
    errors = []
    for dt in (0.2, 0.1):
        x = leapfrog(*system.split, start, dt, round(20 / dt), order=2)[:, 0]
        H = system.invariants["energy"](x) * torch.exp(-dissipation * torch.arange(len(x)) * dt)
        errors.append(float((H - H[0]).abs().max()))
    return float(torch.log2(torch.tensor(errors[0] / errors[1]))), errors


def balance(generator: torch.Generator, tied: bool) -> float:
    """Drift of |outgoing|² − |incoming|² of a rectified network's hidden neurons under gradient descent of small steps,
    over that of |outgoing|² itself (Du, Hu & Lee 2018)."""
    first = torch.randn(6, 4, dtype=F64, generator=generator) / 2
    second = torch.randn(2, 6, dtype=F64, generator=generator) / 2
    x = torch.randn(50, 4, dtype=F64, generator=generator)
    y = torch.randn(50, 2, dtype=F64, generator=generator)
    first.requires_grad_(), second.requires_grad_()
    start = [second.detach().square().sum(0), first.detach().square().sum(1)]
    for _ in range(400):
        hidden = x @ first.T
        loss = ((hidden.relu() if tied else hidden.tanh()) @ second.T - y).square().mean()
        gradients = torch.autograd.grad(loss, (first, second))
        with torch.no_grad():
            for w, g in zip((first, second), gradients, strict=True):
                w -= 0.005 * g
    change = [second.detach().square().sum(0) - start[0], first.detach().square().sum(1) - start[1]]
    return float((change[0] - change[1]).abs().max() / change[0].abs().max())


def motion(material: dict[str, Any]) -> Figure:
    """Rates of the antisymmetric network."""
    figure, axis = canvas(5.5, 2.6)
    for k, trace in enumerate(material["runs"].T):
        axis.plot(trace[:400], lw=0.9, color=COLOURS[k])
    axis.set(xlabel="step", ylabel="x")
    return figure


register(
    Experiment(
        name="what_cells_conserve",
        title="What networks conserve",
        paper="M. A. Cohen and S. Grossberg (1983). IEEE Trans. Syst. Man Cybern. 13:815-826; S. S. Du, W. Hu and J. "
        "D. Lee (2018). Algorithmic regularization in learning deep homogeneous models: layers are automatically "
        "balanced. NeurIPS 31.",
        summary="Antisymmetric wiring conserves the sum of its neurons' Lagrangians; Hopfield's symmetric one only "
        "ratios of what dies out beside its memories; the same energy as a potential conserves energy, to the order of "
        "the integrator. Learning conserves, too: rectified neurons keep |outgoing|² - |incoming|² of their weights.",
        claims=(
            Claim(
                "Five antisymmetric neurons conserve their whole Lagrangian and one weighted sum, and no more.",
                "tanh(x)·A tanh(x) = 0, and an odd antisymmetric A is singular", "antisymmetric", 2.0, 0.0, "counted",
                {"symmetric": 0.1},
            ),
            Claim(
                "A motion of it fills three of its five dimensions.",
                "5 neurons, 2 invariants", "fills", 3.0, 0.0, "counted, at full size", {"symmetric": 0.1},
                only="full size",
            ),
            Claim(
                "Of 6 neurons with 2 memories the 3 ratios of the 4 components beside them are conserved.",
                "du/dt = -u/tau there", "hopfield", 3.0, 0.0, "counted", {"memories": 3},
            ),
            Claim(
                "Where memories reach every direction it conserves no polynomial of degree 4.",
                "Cohen & Grossberg (1983): the energy falls", "recurrent", 0.0, 0.0, "counted", {"skew": True},
            ),
            Claim(
                "As the potential of a Hamiltonian network its energy is conserved, with an error of second order.",
                "Hairer, Lubich & Wanner (2006), theorem IX.8.1", "energy_order", 2.0, 0.3,
                "the next order at steps of .2", {"dissipation": 0.1},
            ),
            Claim(
                "Gradient descent conserves the balance of each rectified neuron's weights.",
                "Du, Hu & Lee (2018), theorem 2.1", "balance", AtMost(0.0), 0.03,
                "steps of .005: the drift is of first order", {"tied": False},
            ),
        ),
        measure=measure,
        pictures={"A motion of five antisymmetric neurons.": motion},
    )
)  # fmt: skip
