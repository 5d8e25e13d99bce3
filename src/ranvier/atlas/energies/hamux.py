"""Hierarchical associative memory: layers given by Lagrangians, joined in any graph, with one falling energy."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, digits, gallery, register
from ranvier.energies import Backtracking, Clamp, Descent, EnergyGraph, Fixed, Layer, ModernHopfield
from ranvier.energies.graphs.lagrangians import Identity, LayerNorm, ReLU, Sigmoid, Softmax, Tanh
from ranvier.energies.graphs.synapses import Attention, Conv, Dense, Memories

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

F64 = torch.float64


def measure(
    seed: int, size: Size, fixed: float = 0.0, beta: float = 1.0, by_states: bool = False
) -> dict[str, Any]:
    """A mixed graph's descent, a known model as a graph, and digits completed with their labels.

    fixed: a step width taken without looking, if not 0. beta: factor on that of the memory layer. by_states: the
    force is −∂E/∂x, by states, in place of −∂E/∂y, by activations.
    """
    torch.manual_seed(seed)
    graph = mixed().double().requires_grad_(False)
    x = 2 * torch.randn(6, graph.units, dtype=F64)
    rule = Fixed(fixed) if fixed else Backtracking()
    state = {"x": x} if fixed else {"x": x, "step": torch.full((6, 1), 0.05, dtype=F64)}
    parts, energies, descent = [], [], Descent(graph, rule)
    for _ in range(120):
        parts.append({name: float(e[0]) for name, e in graph.energies(state["x"]).items()})
        energies.append(graph.energy(state["x"]))
        state = descent.relax(state, 1)
    trace = torch.stack(energies)
    metrics: dict[str, Any] = {
        "rise": float(trace.diff(dim=0).max() / trace.abs().max()),
        "trace": trace.numpy(),
        "parts": {name: [row[name] for row in parts] for name in parts[0]},
    }
    X = torch.randn(20, 12, dtype=F64)
    short = EnergyGraph({"v": Layer(Identity(), (12,))}, [("v", Memories(X, Softmax(1.3 * beta)))]).requires_grad_(
        False
    )
    probe = torch.randn(5, 12, dtype=F64)
    metrics["instance"] = float((short.force(probe) - ModernHopfield(X, 1.3).force(probe)).abs().max())
    return metrics | speed(by_states) | labelled(seed, size, beta)


def mixed() -> EnergyGraph:
    """An image, maps of features, tokens that attend to each other, memories of tokens, and labels."""
    return EnergyGraph(
        {"image": Layer(Identity(), (1, 8, 8)), "maps": Layer(Tanh(), (4, 6, 6)),
         "tokens": Layer(LayerNorm(), (6, 8)), "gate": Layer(Sigmoid(2.0), (10,)),
         "labels": Layer(Softmax(), (5,))},
        [(("image", "maps"), Conv(1, 4, 3)), (("maps", "tokens"), Dense(144, 48, scale=0.1)),
         (("tokens", "tokens"), Attention(8, dim=8, heads=2, own=False)),
         ("tokens", Memories(0.3 * torch.randn(12, 48), ReLU())), (("tokens", "gate"), Dense(48, 10)),
         (("gate", "labels"), Dense(10, 5)), (("labels", "labels"), Dense(5, 5, 0.2 * torch.eye(5)))],
    )  # fmt: skip


@cache  # mutants share what they do not change
def speed(by_states: bool) -> dict[str, float]:
    """A saturated neuron (x = 6, pulled to −1): how far it gets in one unit of time by either law."""
    graph = EnergyGraph({"u": Layer(Tanh(), (1,))}, [])
    x = torch.full((1, 1), 6.0, dtype=F64)
    for _ in range(100):
        at = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(graph.energy(at).sum(), at)
        x = x + 0.01 * (-slope if by_states else graph.force(x))
    return {"left": float(x) / 6.0}


@cache  # mutants share what they do not change
def labelled(seed: int, size: Size, beta: float) -> dict[str, Any]:
    """Digits and labels joined by a layer of memories, one a stored digit; images half hidden, labels free."""
    data = digits(seed)
    x = torch.cat([data.x, data.x_test]) * 2 - 1
    y = torch.nn.functional.one_hot(torch.cat([data.y, data.y_test]), 10).double()
    stored, tests = {"small": (600, 200), "full": (1400, 397)}[size]
    unit = x / x.norm(dim=1, keepdim=True)
    graph = EnergyGraph(
        {"image": Layer(Identity(), (64,)), "label": Layer(Softmax(), (10,)),
         "memory": Layer(Softmax(30.0 * beta), (stored,))},
        [(("image", "memory"), Dense(64, stored, unit[:stored].T)),
         (("label", "memory"), Dense(10, stored, y[:stored].T))],
    ).double().requires_grad_(False)  # fmt: skip
    probes = unit[-tests:].clone()
    probes[:, 48:] = 0
    start = graph.layout.join({
        "image": probes, "label": torch.zeros(tests, 10, dtype=F64), "memory": torch.zeros(tests, stored, dtype=F64)
    })  # fmt: skip
    upper = torch.zeros(graph.units, dtype=torch.bool)
    upper[:48] = True
    end = Descent(graph, Fixed(0.5), tol=1e-5, max_steps=400).settle(start, Clamp(upper, start), warn=False)
    parts = graph.layout.split(end.y)
    right = parts["label"].argmax(1) == y[-tests:].argmax(1)
    return {
        "labelled": float(right.double().mean()),
        "settled": float(end.converged.double().mean()),
        "rows": torch.stack([unit[-tests:][:9], probes[:9], parts["image"][:9]]).numpy(),
        "named": parts["label"].argmax(1)[:9].tolist(),
    }


def energies_picture(material: dict[str, Any]) -> Figure:
    """Whole energies, and the parts of one."""
    figure, (row,) = canvas(8, 2.8, 1, 2)
    left, right = row
    left.plot(material["trace"], color=COLOURS[0], lw=0.9)
    left.set(xlabel="step", ylabel="energy of the whole")
    colours = [*COLOURS[:4], "#E69F00", "#56B4E9", *COLOURS[4:]]
    for k, (name, values) in enumerate(material["parts"].items()):
        label = name.replace("-", "–") if "-" in name else f"({name})" if "(" not in name else "token memories"
        right.plot(values, lw=1.0, color=colours[k % len(colours)], ls="-" if k < len(colours) else "--", label=label)
    right.set(xlabel="step", ylabel="energies of the parts")
    right.legend(fontsize=6, ncol=2, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def completion(material: dict[str, Any]) -> Figure:
    """Digits, what is given, where the image layer ends, and the label that wins."""
    figure, axes = gallery(7, 2.8, material["rows"], ["digit", "given", "completed"], -0.15, 0.15)
    for k, name in enumerate(material["named"]):
        axes[2, k].set_xlabel(f"“{name}”")
    return figure


PAPER = "Krotov (2021); Hoover et al. (2022)"
register(
    Experiment(
        name="hamux",
        title="Hierarchical associative memory",
        paper="B. Hoover, D. H. Chau, H. Strobelt and D. Krotov (2022). A universal abstraction for hierarchical "
        "Hopfield networks. NeurIPS workshop on the Symbiosis of Deep Learning and Differential Equations.",
        summary="Neuron layers are Lagrangians, activations their gradients; synapses are energies of activations. Any "
        "graph of them, with convolutions and attention, has one energy, which descent by activations never raises.",
        claims=(
            Claim(
                "The energy of a graph with convolution, attention, norms and softmax never rises.",
                PAPER, "rise", AtMost(0.0), 1e-12, "rounding, relative to the largest energy", {"fixed": 2.5},
            ),
            Claim(
                "Identity neurons with softmax memories are the modern Hopfield network.",
                PAPER, "instance", AtMost(0.0), 1e-12, "rounding", {"beta": 1.2},
            ),
            Claim(
                "By activations a saturated neuron relaxes as fast as any other: to 1/e in a unit of time.",
                "dx/dt = −x", "left", 0.3679, 0.002, "Euler's first order at steps of 0.01", {"by_states": True},
            ),
            Claim(
                "Clamped to three quarters of a digit, the graph names it.",
                "this entry", "labelled", AtLeast(0.9), 0.0, "a standard error of 2 % from 200 digits",
                {"beta": 0.003},
            ),
        ),
        measure=measure,
        pictures={
            "Energies along the descent of a graph of five layers and seven synapses; right, the parts of one of them "
            "(layers in brackets).": energies_picture,
            "Three quarters of an image are held; the rest and the label follow from the memories.": completion,
        },
    )
)  # fmt: skip
