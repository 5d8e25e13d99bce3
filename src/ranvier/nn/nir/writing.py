"""Layers as NIR."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ranvier.networks.nir import files as nir_files
from ranvier.nn.delays import Delay
from ranvier.nn.nir._graph import refuse_to
from ranvier.nn.nir._modules import array, whole, write_linear, write_module
from ranvier.nn.nir._neurons import write_neurons
from ranvier.nn.nir._time import Array, Clock, rescale_biases
from ranvier.nn.sequential import Sequential, TimeDistributed
from ranvier.nn.spiking.layer import DynamicalLayer


def to_nir(
    model: nn.Module,
    dt: float = 0.1,
    *,
    input_shape: int | tuple[int, ...] | None = None,
    decay: str = "euler",
    soft_reset: bool = False,
) -> Any:
    """A model of layers as a `nir.NIRGraph`, the neuromorphic intermediate representation (Pedersen et al. 2024).

    | NIR | here |
    |---|---|
    | `LIF`: tau v' = v_leak − v + r I | `LIF`; v_leak = v_reset = 0 |
    | `CubaLIF`: tau_syn I' = −I + w_in S | `LIF` with `alpha` |
    | `LI`, `CubaLI` | `LI` |
    | `IF`, `I` | `LIF` and `LI` of beta = 1 |
    | `Linear`, `Affine` | nn.Linear, and that of a layer with two sizes, [target, source] |
    | a `Linear` from a neuron back to itself | `recurrent=True`, with a `Delay` of recurrent_delay − 1 steps if any |
    | `Delay` | `Delay`; learned ones if their steps are whole |
    | `Conv1d`, `Conv2d`, `Flatten` | nn.Conv1d, nn.Conv2d, nn.Flatten |
    | `AvgPool2d`, `SumPool2d` | nn.AvgPool2d; with divisor_override=1 |
    | `Input`, `Output` | the model's ends; nn.Dropout and nn.Identity are left out |

    NIR is written in continuous time, a layer in steps; `dt` (ms) and `decay` say how they correspond:

    | decay | beta, alpha | r such that a spike adds its weight | read by |
    |---|---|---|---|
    | "euler" | 1 − dt/tau | tau/dt; w_in = tau_syn/dt | snnTorch and SpikingJelly, at dt = 0.1 |
    | "exponential" | exp(−dt/tau) | tau/(beta dt), as a spike's impulse decays in its step | `networks.from_nir` |

    So a trained model runs in the engine: `rv.networks.from_nir(to_nir(model, dt, decay="exponential"), pulse=dt,
    delay=dt, inputs={"input": rv.SpikeTimes(...)})`, simulated with steps of dt, spikes as the model does with a
    `Delay` of 2 steps before each layer (there a spike is emitted at its step's end, and a connection takes a step);
    without biases that is the model's output, 2 steps a layer later. A `Delay` of d steps becomes one of d + 1, and
    recurrent_delay of d one of d, from 2 on: 1 becomes 2. Images are flattened there.

    Which nodes each framework reads with the same spikes is measured in benchmarks/results/nir_readers.md: SpikingJelly
    all that it knows (no LI, I and Delay), snnTorch also no IF and other spikes of recurrent layers; Norse takes r of
    LIF and LI for 1, so gives those of IF and CubaLIF only, and sinabs those of none.

    Exact are values and spikes, in float32 to the bit, of what `from_nir` reads with the same dt and decay; and spikes
    of other readers as far as they take these equations, and rounding and ties allow: at exactly the threshold neurons
    here and in SpikingJelly spike, those of NIR and snnTorch do not. Surrogates and what is learned stay behind.

    Parameters
    ----------
    model : a `Sequential`, nested as it may be, or one of its parts. Weights keep their precision, the rest is
        float64.
    dt : ms, one step.
    input_shape : of one sample at one step, without batch; needed where the first part does not tell.
    decay : see above; with "exponential" a bias before neurons with `alpha` has no equal.
    soft_reset : NIR's reset is that to v_reset, reset="zero" here. With True a "subtract" and a "delayed" are written
        the same way, as snnTorch does, and noted in the node's metadata, where only `from_nir` looks: what other
        readers make of it spikes differently.

    Raises ValueError, by name, for what NIR cannot hold: adaptation, other resets, layers and modules, delays of single
    synapses, delays that are not whole, time constants that differ in kind within a layer, and convolutions that its
    type check does not know (grouped ones, kernels that are not square).

    Examples
    --------
    >>> import ranvier as rv
    >>> model = rv.nn.Sequential(rv.nn.LIF(3, 2, reset="zero"))
    >>> sorted(type(node).__name__ for node in rv.nn.to_nir(model).nodes.values())
    ['Affine', 'Input', 'LIF', 'Output']
    """
    import nir

    parts = list(_parts(model))
    if not parts:
        refuse_to("a model without parts")
    shape = _first_shape(parts) if input_shape is None else tuple(np.atleast_1d(input_shape).tolist())
    graph = _Graph(Clock.of(dt, decay), soft_reset, shape)
    graph.nodes["input"] = nir.Input(input_type={"input": np.array(shape)})
    for k, part in enumerate(parts):
        if isinstance(part, DynamicalLayer):
            graph.add_layer(k, part)
        elif type(part) is Delay:
            graph.add(f"delay_{k}", nir.Delay(delay=graph.seconds(whole(part), part.shape)), part.shape)
        else:
            graph.add_ordinary(k, part)
    for name, bias in rescale_biases(graph.clock, graph.chain(), "to", refuse_to).items():
        graph.nodes[name].bias = bias
    graph.add("output", nir.Output(output_type={"output": np.array(graph.shape)}), graph.shape)
    return nir.NIRGraph(nodes=graph.nodes, edges=graph.edges)


def write_nir(model: nn.Module, path: str | Path, dt: float = 0.1, **options: Any) -> Path:
    """Write a model as a NIR file (HDF5), atomically; see `to_nir`.

    Examples
    --------
    >>> import ranvier as rv
    >>> model = rv.nn.Sequential(rv.nn.LIF(3, 2, reset="zero"))
    >>> rv.nn.write_nir(model, "layers.nir").name
    'layers.nir'
    """
    return nir_files.write_graph(to_nir(model, dt, **options), path)


def _parts(model: nn.Module) -> Iterator[nn.Module]:
    if type(model) in (Sequential, nn.Sequential):
        for part in model.children():
            yield from _parts(part)
    elif type(model) is TimeDistributed:
        yield from _parts(model.module)
    elif type(model) not in (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d):
        yield model


def _first_shape(parts: list[nn.Module]) -> tuple[int, ...]:
    match parts[0]:
        case DynamicalLayer() as layer if layer.linear is not None or layer.shape is not None:
            return layer._input_shape()  # type: ignore[return-value]
        case Delay() as delay:
            return delay.shape
        case nn.Linear() as linear:
            return (linear.in_features,)
    kind = type(parts[0]).__name__
    raise ValueError(f"there is {kind} first; expected input_shape=, the shape of one input at one step, without batch")


@dataclass
class _Graph:
    """What was written so far, and the shape it gives."""

    clock: Clock
    soft_reset: bool
    shape: tuple[int, ...]
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    last: str = "input"

    def add(self, name: str, node: Any, shape: tuple[int, ...]) -> None:
        """A node behind the last."""
        self.nodes[name] = node
        self.edges.append((self.last, name))
        self.last, self.shape = name, tuple(shape)

    def add_layer(self, k: int, layer: DynamicalLayer) -> None:
        """Its own linear layer, its neurons, its way back to itself."""
        if layer.linear is not None:
            self.add(f"linear_{k}", write_linear(layer.linear, self.shape), (layer.linear.out_features,))
        shape = self.shape if layer.shape is None else layer.shape
        name = f"{type(layer).__name__.lower()}_{k}"
        self.add(name, write_neurons(layer, shape, self.clock, self.soft_reset), shape)
        if layer.recurrent is None:
            return
        import nir

        path, steps = [name], layer.delays.each(shape[0]) - 1
        if bool(steps.any()):
            path.append(f"recurrent_delay_{k}")
            self.nodes[path[-1]] = nir.Delay(delay=self.seconds(steps, shape))
        path.append(f"recurrent_{k}")
        self.nodes[path[-1]] = nir.Linear(weight=array(layer.recurrent))
        self.edges += pairwise([*path, name])

    def add_ordinary(self, k: int, part: nn.Module) -> None:
        """A module without state, whose shape it tells itself."""
        node = write_module(part, self.shape)
        like = next(part.parameters(), torch.zeros(()))
        with torch.no_grad():
            y = part(torch.zeros(1, *self.shape, dtype=like.dtype, device=like.device))
        self.add(f"{type(part).__name__.lower()}_{k}", node, y.shape[1:])

    def chain(self) -> list[tuple[str, Any]]:
        """The nodes in a row, without ways back."""
        return [(name, node) for name, node in self.nodes.items() if not name.startswith("recurrent")]

    def seconds(self, steps: Tensor, shape: tuple[int, ...]) -> Array:
        """Delays of whole steps."""
        return np.broadcast_to(steps.cpu().numpy() * self.clock.dt, shape).copy()


__all__ = ["to_nir", "write_nir"]
