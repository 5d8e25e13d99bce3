"""Neurons of many compartments as a differentiable layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ranvier._checks import instance, nearest, number
from ranvier._steps import require_time
from ranvier.cables.cell import CableCell
from ranvier.cables.kernels import CURRENT, SLOPE
from ranvier.cables.processes import Process, channels_of, synapse_on
from ranvier.cables.simulation import METHODS
from ranvier.cables.tree import tree_solve
from ranvier.equations import symbol
from ranvier.equations.declarations import declared
from ranvier.equations.parameters import Parameter
from ranvier.equations.printing import torch_function
from ranvier.nn.cell import CellState, SequenceCell, in_own_precision
from ranvier.nn.checks import require_finite, require_state
from ranvier.synapses import Synapse

_POSITIVE = Parameter(above=0.0)


class CableLayer(SequenceCell):
    """Voltages of a `CableCell`: x (T, B, inputs) -> V (T, B, places) in mV, with gradients.

    Each entry of the batch is a cell of its own. One step is that of `cables.simulate`, in torch operations on the CPU.

    Parameters
    ----------
    cell
        Its shape and channels; parameters of channels are numbers.
    at
        The compartment of each input.
    read
        The compartments whose voltages come out.
    synapse
        None: inputs are currents, pA, over each step. A synapse: inputs are numbers of spikes that arrive at the start
        of a step, each of the weight of its input (`weight` (inputs,), in the synapse's unit, 1 at first).
    dt, V
        Step (ms), and the voltage (mV) that cells start from, with gates at their steady states there.
    learn
        What becomes a parameter: "axial" (n,) in nS to each compartment's parent, "capacitance" (n,) in pF, "weight",
        or a channel's by class and name, "SquidSodium.g", as `SquidSodium_g` (one number for all instances).
    method, dtype
        As of `simulate`.

    Raises ValueError for compartments, names and values that do not fit, for inputs of another shape, and for learned
    values that have left their domain.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> shape = rv.cables.Morphology(soma_diameter=20.0)
    >>> dendrite = shape.add(200.0, 2.0)
    >>> cell = rv.cables.CableCell(shape, [rv.cables.Leak()], max_length=50.0)
    >>> synapse, tip = rv.ExponentialConductance(), cell.at(dendrite)
    >>> layer = rv.cables.CableLayer(cell, [tip], [0], synapse=synapse, learn=["Leak.g"])
    >>> V, state = layer(torch.ones(40, 3, 1))
    >>> V[-1].mean().backward()
    >>> V.shape, bool(layer.Leak_g.grad < 0)
    (torch.Size([40, 3, 1]), True)
    """

    at: Tensor
    read: Tensor
    axial: Tensor
    capacitance: Tensor
    weight: Tensor

    def __init__(
        self,
        cell: CableCell,
        at: Any,
        read: Any,
        *,
        synapse: Synapse | None = None,
        dt: float = 0.025,
        V: float = -65.0,
        learn: Sequence[str] = (),
        method: str = "midpoint",
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        instance(cell, CableCell, "cell", "a CableCell")
        require_time(dt, "dt")
        if method not in METHODS:
            raise ValueError(f"method is {method!r}; expected one of {', '.join(map(repr, METHODS))}")
        self.cell, self.dt, self.V, self.share = cell, float(dt), number(V, "V", "mV"), METHODS[method]
        places, out = cell.require(at, "at"), cell.require(read, "read")
        self.in_features, self.out_features = len(places), len(out)
        kind = dtype or torch.get_default_dtype()
        self.register_buffer("at", torch.from_numpy(places), persistent=False)
        self.register_buffer("read", torch.from_numpy(out), persistent=False)
        self._processes = channels_of(cell)
        if synapse is not None:
            instance(synapse, Synapse, "synapse", "a Synapse: rv.ExponentialConductance()")
            self._processes.append(synapse_on(synapse, places))
            values = {name: torch.tensor(value) for name, value in synapse.numbers.items()}
            self._jumps = {k: float(v) for k, v in torch_function(synapse.jump_sizes())(**values).items()}
        self.synapse = synapse
        arrays = {"axial": cell.axial, "capacitance": cell.capacitance}
        if synapse is not None:
            arrays["weight"] = np.ones(len(places))
        self._learned = _learned(self._processes, arrays, learn)
        for name, array in arrays.items():
            self._hold(name, torch.as_tensor(array, dtype=kind), name in learn)
        for name, value in self._learned.items():
            self._hold(name.replace(".", "_"), torch.tensor(value, dtype=kind), True)
        for k, process in enumerate(self._processes):
            self.register_buffer(f"_places_{k}", torch.from_numpy(process.places), persistent=False)
            self.register_buffer(f"_sizes_{k}", torch.as_tensor(process.sizes, dtype=kind)[:, None], persistent=False)
        self._steps = [_step(process) for process in self._processes]

    def _hold(self, name: str, value: Tensor, learned: bool) -> None:
        if learned:
            self.register_parameter(name, nn.Parameter(value))
        else:
            self.register_buffer(name, value, persistent=False)

    def init_state(self, batch: int) -> CellState:
        """V (B, n), and each variable of channels and synapses (B, its compartments) by name and number."""
        like = self.axial
        state = {"V": like.new_full((batch, len(self.cell)), self.V)}
        for k, process in enumerate(self._processes):
            values = self._numbers(k) | {"V": like.new_tensor(self.V)}
            start = torch_function(process.kind.initial)(**values) if process.kind.initial else {}
            for name, value in start.items():
                state[f"{name}_{k}"] = value.to(like.dtype).detach().expand(batch, len(process.places)).clone()
        return state

    def _numbers(self, k: int) -> dict[str, Any]:
        """The k-th process's parameters, learned ones as tensors."""
        process = self._processes[k]
        own = f"{process.kind.name}."
        learned = {n.removeprefix(own): getattr(self, n.replace(".", "_")) for n in self._learned if n.startswith(own)}
        for name, value in learned.items():
            declared(type(process.model))[name].require(value, own + name)
        fixed = {name: self.axial.new_tensor(value) for name, value in process.numbers(self.dt).items()}
        return fixed | learned

    @in_own_precision
    def forward(self, x: Tensor, state: CellState | None = None) -> tuple[Tensor, CellState]:
        """x (T, B, inputs) -> (V (T, B, places), state)."""
        self._require_sequence(x, self.axial)
        require_finite(x)
        batch = x.shape[1]
        shapes = {"V": (batch, len(self.cell))}
        for k, process in enumerate(self._processes):
            shapes |= {f"{name}_{k}": (batch, len(process.places)) for name in process.kind.states}
        state = self.init_state(batch) if state is None else state
        require_state(state, shapes, self.axial)
        inner = {name: value.T for name, value in state.items()}
        numbers = [self._numbers(k) for k in range(len(self._processes))]
        _POSITIVE.require(self.capacitance, "capacitance of CableLayer", "compartment")
        _POSITIVE.require(self.axial[1:], "axial of CableLayer", "compartment")
        if self.synapse is not None:
            self.synapse.weight_parameter.require(self.weight, "weight of CableLayer", "input")
        load = (self.capacitance / (self.share * self.dt))[:, None]
        out = []
        for row in x.unbind(0):
            inner = self._advance(inner, row.T, numbers, load)
            out.append(inner["V"][self.read].T)
        return torch.stack(out), {name: value.T for name, value in inner.items()}

    def _advance(self, state: CellState, x: Tensor, numbers: list[dict[str, Any]], load: Tensor) -> CellState:
        """One step; states and inputs are (n, B)."""
        V = state["V"]
        new: CellState = {}
        slopes, currents = load.expand_as(V), torch.zeros_like(V)
        for k, (process, step) in enumerate(zip(self._processes, self._steps, strict=True)):
            own = {name: state[f"{name}_{k}"] for name in process.kind.states}
            if process.model is self.synapse:
                own |= {name: own[name] + size * self.weight[:, None] * x for name, size in self._jumps.items()}
            places, sizes_ = getattr(self, f"_places_{k}"), getattr(self, f"_sizes_{k}")
            values = step(**own, **numbers[k], V=V[places], dt=V.new_tensor(self.dt))
            one = torch.ones_like(V[places])
            currents = currents.index_add(0, places, -sizes_ * values.pop(CURRENT) * one)
            slopes = slopes.index_add(0, places, sizes_ * values.pop(SLOPE) * one)
            new |= {f"{name}_{k}": value for name, value in values.items()}
        if self.synapse is None:
            currents = currents.index_add(0, self.at, x)
        change = tree_solve(slopes, self.axial, currents, V, self.cell.parent)
        return {"V": V + change / self.share, **new}


def _learned(processes: list[Process], arrays: dict[str, Any], learn: Sequence[str]) -> dict[str, float]:
    """Channels' parameters among `learn`, with their values."""
    known: dict[str, list[Any]] = {}
    for process in processes:
        if not isinstance(process.model, Synapse):
            for name, value in process.model.parameters.items():
                known.setdefault(f"{process.kind.name}.{name}", []).append(value)
    out = {}
    for name in learn:
        if name in arrays:
            continue
        if name not in known:
            raise ValueError(f"learn has {name!r}; {nearest(name, [*arrays, *known])}")
        if len(set(map(float, known[name]))) > 1:
            raise ValueError(
                f"learn has {name!r}, which differs between the channels of that class; expected one value: make a "
                "subclass for each"
            )
        out[name] = float(known[name][0])
    return out


def _step(process: Process) -> Callable[..., dict[str, Tensor]]:
    """(variables, numbers, V, dt) -> `CURRENT` (for a size of 1), its `SLOPE`, and the new variables."""
    kind = process.kind
    mid = {symbol(name): symbol(f"{name}_mid") for name in kind.states}
    statements = tuple((mid[symbol(name)], value) for name, value in kind.middle.items())
    results = {CURRENT: kind.current.xreplace(mid), SLOPE: kind.slope.xreplace(mid)}
    results |= {name: kind.after.get(name, symbol(name)).xreplace(mid) for name in kind.states}
    return torch_function(results, statements)


__all__ = ["CableLayer"]
