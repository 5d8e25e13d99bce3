"""Whether neurons that were read can spike at all: a file whose r means another unit of time gives none that do."""

from __future__ import annotations

from typing import Any, NoReturn

import torch
from torch import nn

from ranvier.nn.delays import Delay
from ranvier.nn.elementwise import Scale, Shift, Threshold
from ranvier.nn.graph import Graph
from ranvier.nn.nir._time import Clock
from ranvier.nn.sequential import Sequential
from ranvier.nn.spiking.layer import DynamicalLayer
from ranvier.nn.spiking.lif import LIF

STEPS = 100.0  # of full input to an integrator without leak


def require_reach(model: Sequential | Graph, clock: Clock) -> None:
    """ValueError for a layer of which no neuron reaches its threshold, whatever spikes come in.

    Inputs are taken to lie within [0, 1] and the most positive of them to come at every step, to neurons without a leak
    for `STEPS` steps: a bound, not an estimate.
    """
    with torch.no_grad():
        if isinstance(model, Sequential):
            _row(model, 1.0, clock)
            return
        bounds = dict.fromkeys(model.inputs, 1.0)
        for name in [n for part in model.parts for n in part]:
            sources = [a for a, b in model.edges if b == name]
            if any(a not in bounds for a in sources):
                return  # a loop may bring anything
            bounds[name] = _row(model.nodes[name], sum(bounds[a] for a in sources), clock)


def _row(modules: Any, bound: float, clock: Clock) -> float:
    for module in modules:
        bound = _through(module, bound, clock)
    return bound


def _through(module: Any, bound: float, clock: Clock) -> float:
    """The most that a module gives for inputs within [0, bound]."""
    match module:
        case DynamicalLayer():
            values = module._constants()
            total = _through(module.linear, bound, clock) if module.linear is not None else bound
            if module.recurrent is not None:
                total += float(module.recurrent.clamp(min=0).sum(1).max())
            for name in ("alpha", "beta"):
                if name in values:
                    total *= min(STEPS, 1 / max(1 - float(values[name].max()), 1 / STEPS))
            if not isinstance(module, LIF):
                return max(total, 0.0)
            least = float(values["threshold"].min())
            if not total >= least:
                _refuse(total, least, clock)
            return 1.0
        case nn.Linear() | nn.Conv1d() | nn.Conv2d():
            most = module.weight.clamp(min=0).flatten(1).sum(1) * bound
            return float((most if module.bias is None else most + module.bias).max())
        case nn.AvgPool2d() if module.divisor_override == 1:
            size = module.kernel_size
            return bound * (size**2 if isinstance(size, int) else size[0] * size[1])
        case Scale():
            return bound * max(float(module.scale.max()), 0.0)
        case Shift():
            return bound + float(module.offset.max())
        case Threshold():
            return 1.0
        case Delay() | nn.Flatten() | nn.AvgPool2d():
            return bound
    return float("inf")


def _refuse(most: float, least: float, clock: Clock) -> NoReturn:
    raise ValueError(
        f"no neuron of a layer can spike: with every excitatory input at 1 for {STEPS:g} steps the potential stays "
        f"below {most:.3g}, and the least threshold is {least:.3g}, at {1000 * clock.pulse:g} ms a spike; expected a "
        "file whose r is that of a step: give pulse=1000.0 for files in which a spike adds its weight for r = 1 and "
        "tau in seconds (IF of sinabs and Norse), or pulse= as the file's writer means it, or dt itself to read it as "
        "it is"
    )


__all__ = ["require_reach"]
