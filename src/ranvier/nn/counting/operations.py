"""Operations, energy and memory of a model, counted while it runs; synaptic operations of a simulated network.

A weight that meets a spike is added: a synaptic operation. A weight that meets any other number is multiplied and
added. Joules are those of the arithmetic alone: reading weights from memory, which costs more than either on most
machines, depends on the machine and is left out, for spiking and other networks alike.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ranvier._results import Columns
from ranvier.nn.counting._saved_tensors import SavedMemory
from ranvier.nn.counting.counts import Counts
from ranvier.nn.hopfield import HopfieldLookup, HopfieldPooling
from ranvier.nn.plain_modules import Observer
from ranvier.nn.sequential import Sequential, TimeDistributed, is_cell
from ranvier.nn.spiking.layer import DynamicalLayer

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_PATTERNS = (HopfieldLookup, HopfieldPooling)  # their parameters are what a `Hopfield` in them is given


@dataclass(frozen=True)
class Arithmetic:
    """Joules of a multiplication and an addition."""

    multiply: float
    add: float


#: 45 nm, 0.9 V (Horowitz 2014, "Computing's energy problem", fig. 1.1.9): a multiply–accumulate in float32 is 4.6 pJ,
#: an addition 0.9 pJ, as in most of the literature on spiking networks
FLOAT32 = Arithmetic(3.7e-12, 0.9e-12)
FLOAT16 = Arithmetic(1.1e-12, 0.4e-12)
INT32 = Arithmetic(3.1e-12, 0.1e-12)
INT8 = Arithmetic(0.2e-12, 0.03e-12)


@dataclass
class Operations(Columns):
    """What was counted: sums over `layers`, and memory in bytes.

    state_bytes: of the states after the last sequence or step. activation_bytes: the most that was kept for a
    backward pass at any time, parameters and buffers left out; 0 without gradients. uncounted: modules with
    parameters or states of their own whose arithmetic is not known here; biases, activation functions, pooling and
    dropout are never counted.
    Returned by `spike_operations`.
    """

    layers: list[Counts] = field(default_factory=list)
    uncounted: tuple[str, ...] = ()
    state_bytes: int = 0
    activation_bytes: int = 0

    @property
    def synops(self) -> int:
        """Synaptic operations: additions because of spikes."""
        return sum(layer.synops for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply–accumulates of inputs that are not spikes."""
        return sum(layer.macs for layer in self.layers)

    @property
    def dense(self) -> int:
        """Multiply–accumulates if nothing were sparse."""
        return sum(layer.dense for layer in self.layers)

    @property
    def updates(self) -> int:
        """Neurons times steps."""
        return sum(layer.updates for layer in self.layers)

    def joules(self, arithmetic: Arithmetic = FLOAT32, *, updates: bool = True) -> float:
        """Of synaptic operations and multiply–accumulates, and of the neurons' own arithmetic unless updates=False."""
        multiplications, additions = self.macs, self.macs + self.synops
        if updates:
            multiplications += sum(layer.multiplications for layer in self.layers)
            additions += sum(layer.additions for layer in self.layers)
        return multiplications * arithmetic.multiply + additions * arithmetic.add

    def _columns(self) -> dict[str, Any]:
        names = ("name", "synops", "macs", "dense", "updates")
        return {name: [getattr(row, name) for row in self.layers] for name in names}

    def __str__(self) -> str:
        lines = [f"{'':24}{'SynOps':>14}{'MACs':>14}{'if dense':>14}{'updates':>12}"]
        for row in [*self.layers, Counts("sum", self.synops, self.macs, self.dense, self.updates)]:
            lines.append(f"{row.name:24}{row.synops:14,}{row.macs:14,}{row.dense:14,}{row.updates:12,}")
        lines.append(f"{self.joules():.3g} J (float32), state {self.state_bytes:,} bytes")
        if self.uncounted:
            lines.append(f"not counted: {', '.join(self.uncounted)}")
        return "\n".join(lines)


@contextmanager
def count_operations(model: nn.Module) -> Iterator[Operations]:
    """Count all that `model` does within the block: `with rv.nn.count_operations(model) as seen: model(x)`.

    Counted are nn.Linear, nn.Conv1d to Conv3d, and the library's layers, in sequences and single steps. Inputs are
    spikes where all that are not zero are of one size, so dropout's scaling stays out of it. Results are exact sums
    over the batch. The model's outputs and gradients are not touched. Raises TypeError for what is no torch module.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> model = rv.nn.LIF(3, 4)
    >>> with rv.nn.count_operations(model) as counted:
    ...     _ = model(torch.zeros(5, 1, 3))
    ...
    >>> len(counted.layers) > 0
    True
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"there is a {type(model).__name__}; expected a torch module")
    operations, uncounted = Operations(), []
    inner: set[int] = set()
    hooks: list[Any] = []
    states: dict[int, int] = {}
    for path, module in model.named_modules():
        if id(module) in inner:
            continue
        name = f"{path or 'model'}: {type(module).__name__}"
        if isinstance(module, DynamicalLayer):
            counts = Counts(name)
            operations.layers.append(counts)
            inner |= {id(child) for child in module.modules()}
            # a hooked layer's step is a sequence of one
            hooks.append(module.register_forward_hook(_of_sequence(counts, states), with_kwargs=True))
        elif hasattr(module, "_count_operations") or hasattr(module, "_count_own_operations"):
            counts = Counts(name)
            operations.layers.append(counts)
            if hasattr(module, "_count_operations"):
                inner |= {id(child) for child in module.modules()}
            hooks.append(module.register_forward_hook(_by_itself(counts, states), with_kwargs=True))
        elif isinstance(module, (nn.Linear, *_CONVOLUTIONS)):
            counts = Counts(name)
            operations.layers.append(counts)
            hooks.append(module.register_forward_hook(Observer(_of_weights(counts)), with_kwargs=True))
        elif _is_other(module) and ".parametrizations." not in f".{name}.":  # work on parameters alone
            uncounted.append(name)
    operations.uncounted = tuple(uncounted)
    saved = SavedMemory([*model.parameters(), *model.buffers()])
    try:
        with saved.watch():
            yield operations
    finally:
        for hook in hooks:
            hook.remove()
        operations.state_bytes, operations.activation_bytes = sum(states.values()), saved.most


def spike_operations(recording: Any, network: Any = None) -> Operations:
    """Synaptic operations of a simulation: every spike times the synapses that leave its neuron, a projection a row.

    network: the one that was simulated, if the recording does not know it (`recording.network`). Continuous
    synapses, which act at every step, count as multiply–accumulates; neurons' own updates are counted, their
    arithmetic is not; input from outside the network (`Network.background`) has no synapse in it and is left out.
    Raises ValueError where the network is not known, or is not the recording's.

    >>> net = rv.Network()
    >>> source, target = net.add(rv.SpikeTimes([1.0, 2.0], [0, 0]), 1), net.add(rv.LIF(), 5)
    >>> _ = net.connect(source, target, weight=0.1, probability=1.0)
    >>> recording = rv.simulate(net, 10.0, dt=1.0, engine="torch")
    >>> int(rv.nn.spike_operations(recording, net).synops)  # two spikes, five synapses
    10
    """
    network = recording.network if network is None else network
    if not hasattr(network, "projections"):
        raise ValueError("there is a recording that does not know its network; expected network= as it was simulated")
    if network.size != recording.n_neurons:
        raise ValueError(
            f"there are {recording.n_neurons} neurons in the recording, {network.size} in the network; expected "
            "as many"
        )
    spikes = np.bincount(recording.neurons.numpy(), minlength=network.size)
    steps = round(recording.duration / recording.dt)
    operations = Operations(uncounted=("arithmetic of the neurons' updates",))
    for projection in network.projections:
        source = projection.source
        row = Counts(f"{source.name} -> {projection.target.name}", dense=projection.size * steps)
        if projection.synapse.continuous:
            row.macs = row.dense
        else:
            degree = np.bincount(projection.draw()[1], minlength=source.size)
            row.synops = int(spikes[source.start : source.start + source.size] @ degree)
        operations.layers.append(row)
    operations.layers += [Counts(group.name, updates=group.size * steps) for group in network.populations]
    return operations


def _of_weights(counts: Counts) -> Any:
    def count(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], y: Tensor) -> None:
        x = (args[0] if args else kwargs["input"]).detach()
        if isinstance(module, nn.Linear):
            counts.fan(x, module.out_features)
        else:
            counts.convolve(module, x)

    return count


def _by_itself(counts: Counts, states: dict[int, int]) -> Any:
    def count(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        arguments = inspect.signature(module.forward).bind(*args, **kwargs)
        arguments.apply_defaults()
        with torch.no_grad():
            own = getattr(module, "_count_operations", None) or module._count_own_operations
            own(counts, arguments.arguments, out)
        if isinstance(out, tuple) and isinstance(out[1], dict):
            states[id(module)] = _bytes(out[1])

    return count


def _of_sequence(counts: Counts, states: dict[int, int]) -> Any:
    def count(module: DynamicalLayer, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        x = args[0] if args else kwargs["x"]
        state = args[1] if len(args) > 1 else kwargs.get("state")
        _of_layer(module, counts, states, x, state, *out)

    return count


def _of_layer(
    module: DynamicalLayer, counts: Counts, states: dict[int, int], x: Tensor, state: Any, y: Tensor, after: Any
) -> None:
    x, y = x.detach(), y.detach()
    if module.linear is not None:
        counts.weigh(x, int(torch.count_nonzero(x)) * module.out_features, x.numel() * module.out_features)
    if module.recurrent is not None:
        delays = module.delays
        past = y.new_zeros(delays.longest, *y.shape[1:]) if state is None else state[delays.name].detach()
        sent = torch.cat([past.reshape(delays.longest, *y.shape[1:]), y])
        arrived = 0
        for d, neurons in delays.groups:
            due = sent[delays.longest - d :][: len(y)]
            arrived += int(torch.count_nonzero(due if neurons is None else due[..., neurons]))
        counts.weigh(sent, arrived * module.out_features, y.numel() * module.out_features)
    counts.update(module.equations.equations, y.numel())
    states[id(module)] = _bytes(after)


def _bytes(state: dict[str, Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in state.values())


def _is_other(module: nn.Module) -> bool:
    if is_cell(module):
        return not isinstance(module, (Sequential, TimeDistributed))
    return next(module.parameters(recurse=False), None) is not None and not isinstance(module, _PATTERNS)


__all__ = ["FLOAT16", "FLOAT32", "INT8", "INT32", "Arithmetic", "Counts", "Operations", "count_operations",
           "spike_operations"]  # fmt: skip
