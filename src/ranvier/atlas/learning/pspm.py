"""PSPM: a recurrent network made to fire as a reference does, whose weights it does not find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

import ranvier as rv
from ranvier.atlas import COLOURS, AtMost, Claim, Experiment, canvas, register
from ranvier.learners import PSPM

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

N, STEPS, LEAK = 400, 5000, 0.09  # a step of 3 ms at a rate of 30 Hz
EXCITATORY = 320


def measure(seed: int, size: Size, rule: str = "pool") -> dict[str, Any]:
    """Train on one run of the reference, again and again; distances before and after, and what became of the weights.

    rule: "pool", PSPM's; "shuffled", the same changes on synapses drawn at random; "copied", the model begins with
    the reference's weights.

    Few loops at the small size, on the paper's 400 neurons and 5000 steps: smaller networks do not show the effect.
    """
    torch.manual_seed(seed)
    reference, model = network(), network()
    if rule == "copied":
        model.load_state_dict(reference.state_dict())
    x = LEAK * (0.025 + 0.01 * torch.randn(STEPS, 1, N))
    with torch.no_grad():
        target, _ = reference(x)
    learner = PSPM(model, step=LEAK * 8e-7, homeostasis=LEAK * 5e-11, shuffled=rule == "shuffled")
    loops = {"small": 9, "full": 150}[size]
    history = [learner.step((x, target)) for _ in range(loops)]
    distance = np.array([row["distance"] for row in history])
    metrics: dict[str, Any] = {"before": float(distance[0])}
    metrics["after"] = float(distance[-15:].mean()) if size == "full" else None
    metrics["ratio"] = float(distance[-max(3, loops // 10) :].mean() / distance[0]) if distance[0] > 0 else 1.0
    metrics["correlation"] = recovered(model, reference)
    metrics["distance"], metrics["unmatched"] = distance, np.array([row["unmatched"] for row in history])
    return metrics


def network() -> rv.nn.LIF:
    """400 neurons wired all to all, a fifth of them inhibitory, V ← V + .09 (I + W s − V)."""
    layer = rv.nn.LIF(N, recurrent=True, beta=1 - LEAK, threshold=0.03, reset="zero")
    weight = LEAK * 1.5e-6 * torch.randint(0, 1000, (N, N))
    weight[:, EXCITATORY:] *= -1
    with torch.no_grad():
        layer.get_parameter("recurrent").copy_(weight)
    return layer


def recovered(model: rv.nn.LIF, reference: rv.nn.LIF) -> float:
    """Correlation of the networks' weights within either sign, the larger one: signs are given, not learned."""

    def within(columns: slice) -> float:
        a, b = (layer.get_parameter("recurrent").detach()[:, columns].flatten() for layer in (model, reference))
        both: Tensor = torch.corrcoef(torch.stack([a, b]).double())
        return float(both[0, 1])

    return max(within(slice(0, EXCITATORY)), within(slice(EXCITATORY, N)))


def falling(metrics: dict[str, Any]) -> Figure:
    """Distance and unmatched spikes by loop."""
    figure, axes = canvas(5, 3.2)
    loops = np.arange(1, len(metrics["distance"]) + 1)
    axes.plot(loops, metrics["distance"], color=COLOURS[0], label="distance of spike trains")
    axes.plot(loops, metrics["unmatched"], color=COLOURS[1], label="spikes without partner")
    axes.set(xlabel="loop", ylim=(0, None))
    axes.legend()
    return figure


PAPER = "Bagley et al. 2018"
TWO = "an independent implementation has .112 and .044, the reference code .0944 and .0202"
register(
    Experiment(
        name="pspm",
        title="PSPM: a network learns another's spikes, not its weights",
        paper="B. A. Bagley, B. Bordelon, B. Moseley & R. Wessel (2018). Pre-Synaptic Pool Modification (PSPM): A "
        "Supervised Learning Procedure for Spiking Neural Networks. arXiv 1810.03199.",
        summary="Spikes too many weaken the synapses of those that had just fired, missing ones strengthen them; no "
        "gradient.",
        claims=(
            Claim(
                "Networks of random weights under the same input fire differently.",
                TWO, "before", 0.103, 0.02, "the two implementations, and networks drawn again", {"rule": "copied"},
            ),
            Claim(
                "The distance of the spike trains falls.",
                PAPER, "ratio", AtMost(0.88), 0.0, "below what the control comes to, .9 to 1", {"rule": "shuffled"},
            ),
            Claim(
                "After 150 loops it is at a third.",
                TWO, "after", 0.032, 0.012, "between the two implementations", {"rule": "shuffled"},
                only="full size",
            ),
            Claim(
                "The reference's weights are not found: correlations within either sign stay near zero.",
                PAPER + "; .02 in an independent implementation", "correlation", AtMost(0.05), 0.0,
                "what is called none", {"rule": "copied"},
            ),
        ),
        measure=measure,
        pictures={"Distance to the reference's spike trains, and spikes without a partner, by loop.": falling},
    )
)  # fmt: skip
