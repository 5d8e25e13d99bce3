"""A case for every layer of the library: how it is made, what drives it, what it should answer. A new layer comes with
a line here; `test_every_layer.py` fails by name for one without."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

import ranvier as rv
from tests.nn import plain

F64 = torch.float64


@dataclass(frozen=True)
class Case:
    """make(dtype=..., and fused=... if `fused`) -> the layer; drive (T, B, ...) in float64; oracle(layer, x) in NumPy.

    still: parameters that no gradient is requested of.
    """

    kind: type
    make: Callable[..., nn.Module]
    drive: Callable[[], torch.Tensor]
    oracle: Callable[[Any, np.ndarray], np.ndarray]
    fused: bool = True
    still: tuple[str, ...] = ()
    #: the first module is torch's, and refuses in its own way
    torch_first: bool = False

    def layer(self, dtype: torch.dtype = F64, fused: bool = True) -> nn.Module:
        """The same weights for every dtype and either way through time."""
        torch.manual_seed(0)
        model = self.make(dtype=F64, **({"fused": fused} if self.fused else {}))
        return model.to(dtype)


def rates(steps: int = 12, batch: int = 3, inputs: int = 6, scale: float = 2.0) -> torch.Tensor:
    return scale * torch.rand(steps, batch, inputs, dtype=F64, generator=torch.Generator().manual_seed(1))


def spikes(steps: int = 12, batch: int = 3, inputs: int = 6, share: float = 0.4) -> torch.Tensor:
    return (rates(steps, batch, inputs, 1.0) < share).to(F64)


STEPS, EACH = torch.tensor([0, 1, 3, 2, 0, 5]), torch.arange(24).reshape(4, 6) % 5
SYNAPSES, OWNERS = torch.tensor([[0, 1, 4], [2, 3, -1], [1, 4, 5], [0, 5, -1]]), torch.tensor([0, 1, 2, 0])


def sequence_recall(dtype: torch.dtype) -> nn.Module:
    memory = rv.nn.SequenceMemory(6, 4, threshold=1, near=1, sample=2, synapses=8, seed=1)
    for _ in range(3):
        state = memory.init_state()
        for columns in ([0, 3], [1, 4], [2, 5], [0, 4], [1, 3]):
            state = memory.step(state, np.array(columns))
    return memory.recall().to(dtype)


def walk() -> torch.Tensor:
    x = torch.zeros(5, 2, 6, dtype=F64)
    for b, order in enumerate((([0, 3], [1, 4], [2, 5], [0, 4], [1, 3]), ([1, 4], [2, 5], [0, 4], [1, 3], [0, 3]))):
        for t, columns in enumerate(order):
            x[t, b, columns] = 1
    return x


def in_a_row(dtype: torch.dtype, fused: bool) -> nn.Module:
    like = {"dtype": dtype, "fused": fused}
    return rv.nn.Sequential(nn.Linear(6, 5, dtype=dtype), rv.nn.LIF(5, threshold=0.4, **like), rv.nn.LI(5, 2, **like))


def looped(dtype: torch.dtype, fused: bool) -> nn.Module:
    like = {"dtype": dtype, "fused": fused}
    nodes = {"first": nn.Linear(6, 5, dtype=dtype), "sum": nn.Identity(), "left": rv.nn.LI(5, 5, **like),
             "right": rv.nn.LIF(5, threshold=0.4, **like), "back": nn.Linear(5, 5, dtype=dtype)}  # fmt: skip
    edges = [("x", "first"), ("first", "sum"), ("sum", "left"), ("sum", "right"), ("right", "back"), ("back", "sum"),
             ("left", "y"), ("right", "y")]  # fmt: skip
    return rv.nn.Graph(nodes, edges)


def images() -> torch.Tensor:
    return rates(8, 3, 40).reshape(8, 3, 2, 4, 5)


def parallel(dtype: torch.dtype) -> nn.Module:
    """With weights that make neurons fire."""
    layer = rv.nn.PSN(6, 12, dtype=dtype)
    layer.weight.data.add_(0.5)
    return layer


def convolved(dtype: torch.dtype) -> nn.Module:
    return rv.nn.feed_back(rv.nn.LIF((2, 4, 5), dtype=dtype), nn.Conv2d(2, 2, 3, padding=1, dtype=dtype))


N, ALL, LEARNED = rv.nn, ("beta", "threshold", "alpha", "rho", "kappa"), ("beta", "reset_to", "initial")


def kind_of(path: str) -> type:
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(f"ranvier.nn.{module}"), name)


NeuronLayer, SequenceRecall = kind_of("spiking.neuron.NeuronLayer"), kind_of("dendrites.sequence_memory.SequenceRecall")


def measured_norm(kind: type, dtype: torch.dtype, **options: Any) -> nn.Module:
    """In evaluation, which the laws of cells are of: with statistics other than 0 and 1."""
    norm = kind(6, dtype=dtype, **options)
    with torch.no_grad():
        for tensor in (norm.running_mean, norm.running_var, *norm.parameters()):
            tensor.copy_(torch.rand(tensor.shape, dtype=F64) + 0.5)
    return norm.eval()


CELLS = {
    "LIF": Case(N.LIF, lambda **o: N.LIF(6, 5, learn=ALL[:2], **o), rates, plain.lif),
    "LIF, all": Case(
        N.LIF, lambda **o: N.LIF(6, 5, alpha=0.7, adaptation=(0.9, 0.2), recurrent=True, reset="zero", learn=ALL, **o),
        rates, plain.lif,
    ),
    "LIF, delayed": Case(N.LIF, lambda **o: N.LIF(6, 5, reset="delayed", recurrent=True, **o), rates, plain.lif),
    "LIF, reset elsewhere": Case(
        N.LIF, lambda **o: N.LIF(6, 5, reset="zero", reset_to=torch.linspace(-0.6, 0.5, 5), initial=0.5, learn=LEARNED,
                                 **o), rates, plain.lif,
    ),
    "LI": Case(N.LI, lambda **o: N.LI(6, 5, learn="beta", **o), rates, plain.li),
    "from_neuron": Case(
        NeuronLayer, lambda **o: N.from_neuron(rv.LIF(t_ref=2.0), 6, dt=0.5, learn=("tau_m", "V_th"), **o),
        lambda: rates(60, scale=60.0), plain.neuron,
    ),
    "SpikingLSTM": Case(
        N.SpikingLSTM, lambda **o: N.SpikingLSTM(6, 5, threshold=0.05, **o), rates, plain.spiking_lstm, fused=False
    ),
    "SlidingPSN": Case(N.SlidingPSN, lambda **o: N.SlidingPSN(6, 3, **o), rates, plain.sliding_psn, fused=False),
    "PSN": Case(N.PSN, parallel, rates, plain.psn, fused=False),
    "SpikingConvLSTM": Case(
        N.SpikingConvLSTM, lambda **o: N.SpikingConvLSTM(2, 3, 3, size=(4, 5), threshold=0.05, **o), images,
        plain.spiking_conv_lstm, fused=False,
    ),
    "feed_back": Case(N.Graph, convolved, images, plain.convolved_back, fused=False),
    "ThresholdBatchNorm": Case(
        N.ThresholdBatchNorm, lambda dtype: measured_norm(N.ThresholdBatchNorm, dtype, threshold=0.5, scale=0.7), rates,
        plain.threshold_norm, fused=False,
    ),
    "BatchNormThroughTime": Case(
        N.BatchNormThroughTime, lambda dtype: measured_norm(N.BatchNormThroughTime, dtype, steps=12), rates,
        plain.norm_through_time, fused=False,
    ),
    "LTC": Case(N.LTC, lambda **o: N.LTC(6, N.AutoNCP(9, 2), unfolds=2, **o), rates, plain.ltc),
    "CfC": Case(N.CfC, lambda **o: N.CfC(6, 7, backbone=(8,), **o), rates, plain.cfc),
    "ELM": Case(N.ELM, lambda **o: N.ELM(6, 4, memory=5, branches=3, learn_tau=True, **o), spikes, plain.elm),
    "AstrocyteLIF": Case(
        N.AstrocyteLIF, lambda **o: N.AstrocyteLIF(6, 4, astrocytes=2, **o), rates, plain.astrocyte, fused=False
    ),
    "ActiveDendrites": Case(
        N.ActiveDendrites, lambda **o: N.ActiveDendrites(6, 3, SYNAPSES, OWNERS, threshold=1.5, decay=0.5, **o),
        spikes, plain.dendrites, fused=False,
    ),
    "SequenceRecall": Case(SequenceRecall, sequence_recall, walk, plain.sequence_recall, fused=False),
    "Delay": Case(N.Delay, lambda **o: N.Delay(6, STEPS, **o), rates, plain.delay, False),
    "DelayedLinear": Case(
        N.DelayedLinear, lambda **o: N.DelayedLinear(6, 4, EACH, **o), spikes,
        plain.delayed_linear, fused=False,
    ),
    "Sequential": Case(N.Sequential, in_a_row, rates, plain.in_a_row, torch_first=True),
    "Graph": Case(N.Graph, looped, rates, plain.graph, torch_first=True),
    "TimeDistributed": Case(
        N.TimeDistributed, lambda dtype: N.TimeDistributed(nn.Linear(6, 4, dtype=dtype)), rates,
        lambda cell, x: plain.linear(cell.module, x), fused=False, torch_first=True,
    ),
}  # fmt: skip

#: layers that are no cells: how they are made, and for what input
OTHERS = {
    "Hopfield": (lambda: N.Hopfield(6, num_heads=2, update_steps_max=2), (3, 4, 6)),
    "HopfieldLookup": (lambda: N.HopfieldLookup(6, quantity=3), (3, 4, 6)),
    "HopfieldPooling": (lambda: N.HopfieldPooling(6, quantity=2), (3, 4, 6)),
    "Scale": (lambda: N.Scale(torch.linspace(-1.0, 1.0, 6)), (3, 6)),
    "Shift": (lambda: N.Shift(torch.linspace(-1.0, 1.0, 6)), (3, 6)),
    "Threshold": (lambda: N.Threshold(0.2), (3, 6)),
    "QuadraticLinear": (lambda: N.QuadraticLinear(6, 4, start="random"), (3, 6)),
    "QuadraticConv2d": (lambda: N.QuadraticConv2d(2, 3, 3, start="random"), (2, 2, 6, 6)),
}


def modules_of_nn() -> list[type]:
    """Every torch module that a file of ranvier.nn defines and nothing in it derives from: bases are left out."""
    classes = set()
    for info in pkgutil.walk_packages(rv.nn.__path__, "ranvier.nn."):
        if ".triton." in info.name:
            continue
        for _, member in inspect.getmembers(importlib.import_module(info.name), inspect.isclass):
            if issubclass(member, nn.Module) and member.__module__.startswith("ranvier.nn."):
                classes.add(member)
    leaves = (c for c in classes if not any(c in other.__mro__[1:] for other in classes))
    return sorted(leaves, key=lambda c: c.__name__)


def cells_of_nn() -> list[type]:
    """Those that have the surface of a `Cell`."""
    return [kind for kind in modules_of_nn() if hasattr(kind, "init_state") and hasattr(kind, "step")]
