"""Branch and bound for networks of general nonlinearities: which neurons are split, and where."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ranvier import verify
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, dataset, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

NETWORKS = {"small": 8, "full": 24}
MOST = {"small": 40, "full": 600}  # domains a property
SAMPLES = {"small": 100_000, "full": 1_000_000}
FILES = {
    "small": (("1_9", "prop_3"), ("1_9", "prop_4"), ("eran", "mnist_spec_idx_0_eps_0.01200")),
    "full": (
        *((n, f"prop_{p}") for p in (3, 4) for n in ("1_1", "1_9", "2_2", "3_3", "4_5", "5_7")),
        *(("eran", f"mnist_spec_idx_{k}_eps_0.01200") for k in (0, 5, 13, 17, 20, 24, 28, 31, 35)),
    ),
}  # fmt: skip


def measure(
    seed: int, size: Size, branching: str = "bbps", points: str = "optimised", tighten: float = 0.0,
    timeout: float = 60.0,
) -> dict[str, Any]:  # fmt: skip
    """branching, points: of the method that is compared with the others. tighten: bounds are narrowed by this share of
    their width on either side, which is not sound. timeout: seconds a file of the competition."""
    seeds = range(seed, seed + NETWORKS[size])
    ways = {"this": (branching, points), "random": ("random", "optimised"), "no splits": ("none", "optimised")}
    if size == "full":
        ways["midpoints"] = ("bbps", "midpoint")
    runs = {name: [search(s, MOST[size], *how) for s in seeds] for name, how in ways.items()}
    domains = {name: sum(d for _, d in results) for name, results in runs.items()}
    shown = {name: sum(v for v, _ in results) for name, results in runs.items()}
    return {
        "fewer_than_random": domains["random"] - domains["this"],
        "fewer_than_midpoints": domains["midpoints"] - domains["this"] if size == "full" else None,
        "more_than_alpha": shown["this"] - shown["no splits"],
        "escapes": escapes(seed, SAMPLES[size], tighten),
        **decided(size, timeout),
        "domains": domains, "shown": shown,
    }  # fmt: skip


@lru_cache
def network(seed: int) -> nn.Module:
    """Two hidden layers of 6 logistic units, weights 2.5 times torch's: sums that the table of points holds."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(2, 6), nn.Sigmoid(), nn.Linear(6, 6), nn.Sigmoid(), nn.Linear(6, 1)).double()
    for p in module.parameters():
        p.data *= 2.5
    return module


@lru_cache
def instance(seed: int) -> tuple[verify.ComputationGraph, verify.Property]:
    """Over the square [−1, 1]², the output exceeds a threshold halfway between its least value and α-CROWN's bound."""
    module = network(seed)
    graph = verify.from_module(module, torch.zeros(1, 2))
    box = -torch.ones(1, 1, 2, dtype=torch.float64)
    bound = float(verify.bounds(graph, box, -box, method="alpha", steps=10).lower)
    axis = torch.linspace(-1, 1, 201, dtype=torch.float64)
    least = float(module(torch.cartesian_prod(axis, axis)).detach().min())
    return graph, verify.Property.within(box[0, 0], -box[0, 0], torch.ones(1, 1), 0.5 * (least + bound))


@lru_cache
def search(seed: int, most: int, branching: str, points: str) -> tuple[bool, int]:
    """Whether the property was verified, and domains bounded."""
    graph, prop = instance(seed)
    result = verify.verify(
        graph, prop, branching=branching, points=points, most_domains=most, several=1, batch=32, steps=10,  # type: ignore[arg-type]
        attack=False, timeout=600.0,
    )  # fmt: skip
    return result.verdict == "verified", min(result.domains, most)


@lru_cache
def escapes(seed: int, count: int, tighten: float) -> int:
    """Outputs outside CROWN's and α-CROWN's bounds: of sampled inputs, and where gradient descent leads."""
    module, (graph, _) = network(seed), instance(seed)
    g = torch.Generator().manual_seed(seed)
    low = torch.rand(2, generator=g, dtype=torch.float64) - 1
    high = low + 0.5
    x = low + 0.5 * torch.rand(count, 2, generator=g, dtype=torch.float64)
    ends = [descent(module, low, high, sign) for sign in (1.0, -1.0)]
    with torch.no_grad():
        y = module(torch.cat([x, *ends]))[:, 0]
    outside = 0
    for method in ("crown", "alpha"):
        a, b = (float(v) for v in verify.bounds(graph, low[None, None], high[None, None], method=method))  # type: ignore[arg-type]
        margin = tighten * (b - a)
        outside += int(((y < a + margin) | (y > b - margin)).sum())
    return outside


def descent(module: nn.Module, low: Tensor, high: Tensor, sign: float) -> Tensor:
    """Projected gradient descent (of −y for sign −1) from 32 inputs."""
    x = low + (high - low) * torch.rand(32, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for step in range(60):
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(sign * module(x).sum(), x)
        x = torch.maximum(torch.minimum(x - 0.2 * 0.93**step * (high - low) * gradient.sign(), high), low)
    return x.detach()


def decided(size: Size, timeout: float) -> dict[str, Any]:
    """The share of the competition's properties at hand that are verified or falsified in time."""
    folder = dataset("verify")
    if folder is None:
        return {"decided": None}
    verdicts = [verdict(str(folder), *file, timeout) for file in FILES[size]]
    return {"decided": sum(v != "unknown" for v in verdicts) / len(verdicts)}


@lru_cache
def verdict(folder: str, net: str, prop: str, timeout: float) -> str:
    kind, name = ("eran", "ffnnSIGMOID__Point_6x200") if net == "eran" else ("acasxu", net)
    subject = verify.load(f"{folder}/{kind}/{name}.onnx.gz")
    inputs, outputs = (torch.Size(s).numel() for s in (subject.graph.input_shape, subject.graph.output_shape))
    prop_ = verify.read_vnnlib(f"{folder}/{kind}/{prop}.vnnlib.gz", inputs, outputs)
    return verify.verify(subject, prop_, timeout=timeout, attack=timeout > 0).verdict


def bars(material: dict[str, Any]) -> Figure:
    """Domains bounded, and properties verified with them."""
    figure, axes = canvas(6.0, 2.6, 1, 2)
    names = list(material["domains"])
    for axis, key, title in ((axes[0, 0], "domains", "domains bounded"), (axes[0, 1], "shown", "properties verified")):
        axis.barh(names[::-1], [material[key][n] for n in names[::-1]], color=COLOURS[0])
        axis.set_title(title)
    return figure


SHI = "Shi et al. (2025), TACAS, arXiv 2405.21063"

register(
    Experiment(
        name="genbab",
        title="Branch and bound for general nonlinearities",
        paper="Z. Shi, Q. Jin, Z. Kolter, S. Jana, C.-J. Hsieh and H. Zhang (2025). Neural network verification with "
        "branch-and-bound for general nonlinearities. TACAS.",
        summary="Lines below and above every nonlinearity bound a network over a box of inputs; where that does not "
        "decide, a neuron's interval is split in two. The neuron is the one whose split is estimated to gain most, the "
        "point comes from a table of what leaves least area between the lines. On small logistic networks the choice "
        "of neuron pays. The choice of point does not: with at most 100 domains each, ten logistic networks took 262, "
        "and 264 split in the middle; ten of sines 569 and 383, twenty logistic ones of larger weights 603 and 511.",
        claims=(
            Claim(
                "Splitting the neurons of the best scores needs fewer domains than splitting random ones.",
                SHI + ", ablation", "fewer_than_random", AtLeast(1), 0, "a count", {"branching": "random"}, "domains",
            ),
            Claim(
                "Branch and bound verifies what bounds alone do not.",
                SHI, "more_than_alpha", AtLeast(1), 0, "a count", {"branching": "none"}, "properties",
            ),
            Claim(
                "Points that leave least area need fewer domains than midpoints.",
                SHI + ", ablation", "fewer_than_midpoints", AtLeast(1), 0, "a count", {"points": "midpoint"}, "domains",
                only="full size",
            ),
            Claim(
                "No sampled output, and none that gradient descent finds, lies outside the bounds.",
                "soundness", "escapes", AtMost(0), 0, "a proof", {"tighten": 0.45}, "outputs",
            ),
            Claim(
                "The competition's properties at hand are decided in time.",
                "VNN-COMP 2023", "decided", AtLeast(1.0), 0.0, "a count", {"timeout": 0.0},
                only="files of the competition",
            ),
        ),
        measure=measure,
        pictures={"What ways of branching need for the same properties.": bars},
    )
)  # fmt: skip
