"""The torch engine: clock-driven and differentiable. For small networks, training and checking."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ranvier._steps import require_time
from ranvier.codegen.calls import transformed
from ranvier.engines.plasticity.modulators import modulator_of
from ranvier.engines.protocol import REFRACTORY, EngineOptions, NotFinite, Segment
from ranvier.engines.recording.probes import ResolvedProbe
from ranvier.engines.surrogates import ArcTan, Surrogate
from ranvier.engines.torch._gradients import GradientWatch
from ranvier.engines.torch._plasticity import LearningSynapses
from ranvier.engines.torch._step import NetworkState, TorchNetwork
from ranvier.networks import Network, Population, Projection
from ranvier.networks.changes import require_valid


class TorchEngine:
    """A network made ready to run, step by step; the surface of `CompiledEngine`."""

    threads = 1

    def __init__(self, net: Network, options: EngineOptions) -> None:
        self.net, self.options = net, options
        self.network = TorchNetwork(net, options.dt, options.dtype, ArcTan(), False, options.threshold)
        for p in net.projections:
            if p.plasticity is not None:
                self.network.plastic[p.index].set_modulator(modulator_of(net, p, options.modulators), 0)
        with torch.no_grad():
            self.constants = self.network.constants()
            self.current = self.network.init_state(1, options.seed)

    @classmethod
    def prepare(cls, net: Network, options: EngineOptions) -> TorchEngine:
        """The network at t = 0."""
        return cls(net, options)

    @property
    def step(self) -> int:
        return self.current.step

    def advance(self, last: int) -> Segment:
        """Go on to step `last`."""
        probes = self.options.probes
        steps, neurons = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
        samples: dict[str, list[Tensor]] = {p.name: [] for p in probes}
        times: dict[str, list[int]] = {p.name: [] for p in probes}
        with torch.no_grad():
            while self.step < last:
                self.current, _ = self.network.step(self.constants, self.current, None)
                counts = self.current.history[0, 0].numpy().astype(np.int64)
                hit = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
                steps.append(np.full(len(hit), self.step, np.int64))
                neurons.append(hit)
                for probe in probes:
                    if self.step % probe.interval == 0:
                        times[probe.name].append(self.step)
                        samples[probe.name].append(self._sample(probe))
        traces = {
            p.name: (
                np.array(times[p.name], np.int64),
                torch.stack(samples[p.name]).numpy() if samples[p.name] else np.zeros((0, len(p.neurons))),
            )
            for p in probes
        }
        return Segment(np.concatenate(steps), np.concatenate(neurons), traces)

    def _sample(self, probe: ResolvedProbe) -> Tensor:
        values = [self.current.variables[q.population][q.state, 0, q.neurons] for q in probe.pieces]
        return torch.cat(values).to(self.network.dtype)

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that the future depends on."""
        out = {f"variables_{k}": v.numpy() for k, v in enumerate(self.current.variables)}
        out |= {f"refractory_{k}": v.numpy() for k, v in enumerate(self.current.refractory)}
        out["history"] = self.current.history.numpy()
        out |= {f"drawn_{k}": v.numpy() for k, v in zip(self.network.outside.processes, self.current.drawn)}
        for index, own in zip(self.network.plastic, self.current.plastic, strict=True):
            for k, each in enumerate(own):
                out[f"plastic_{index}_{k}_w"] = each.weight.numpy()
                out |= {f"plastic_{index}_{k}_{name}": value.numpy() for name, value in each.state.items()}
        out |= {f"weights_{index}": w for index, w in self.weights().items()}
        return out | {"clock": np.array([self.current.step, self.current.seed], np.int64)}

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up a state of `state()`."""
        populations = range(len(self.net.populations))
        step, seed = (int(v) for v in state["clock"])
        self.current = NetworkState(
            tuple(torch.from_numpy(state[f"variables_{k}"].copy()) for k in populations),
            tuple(torch.from_numpy(state[f"refractory_{k}"].copy()) for k in populations),
            torch.from_numpy(state["history"].copy()),
            step,
            seed,
            tuple(
                tuple(
                    LearningSynapses(
                        torch.from_numpy(state[f"plastic_{index}_{k}_w"].copy()),
                        {x: torch.from_numpy(state[f"plastic_{index}_{k}_{x}"].copy()) for x in each.state},
                    )
                    for k, each in enumerate(own)
                )
                for index, own in zip(self.network.plastic, self.current.plastic, strict=True)
            ),
            tuple(torch.from_numpy(state[f"drawn_{k}"].copy()) for k in self.network.outside.processes),
        )

    def values(self, population: Population) -> dict[str, NDArray[np.float64]]:
        """A population's variables now, and the steps left of its refractory period."""
        k = population.index
        if k not in self.network.models:
            return {}
        model = self.network.models[k]
        rows = self.current.variables[k][:, 0].double().numpy()
        out = dict(zip(model.states, rows.copy(), strict=True))
        if model.refractory is not None:
            out[REFRACTORY] = self.current.refractory[k][0].double().numpy().copy()
        return out

    def set_values(self, population: Population, values: Mapping[str, NDArray[np.float64]]) -> None:
        """Replace some of `values(population)`."""
        k, names = population.index, self.network.models[population.index].states
        variables, refractory = list(self.current.variables), list(self.current.refractory)
        variables[k], refractory[k] = variables[k].clone(), refractory[k].clone()
        for name, new in values.items():
            where = refractory[k][0] if name == REFRACTORY else variables[k][names.index(name), 0]
            where.copy_(torch.from_numpy(np.asarray(new, np.float64)))
        self.current = self.current._replace(variables=tuple(variables), refractory=tuple(refractory))

    def adopt(self, earlier: TorchEngine) -> None:
        """Take up the state of an engine of the same network before some of its parameters were changed."""
        kinds = [self.network.kinds.get(k, self.network.dtype) for k in range(len(self.net.populations))]
        past = earlier.current
        self.current = past._replace(
            variables=tuple(v.to(kind) for v, kind in zip(past.variables, kinds, strict=True)),
            refractory=tuple(v.to(kind) for v, kind in zip(past.refractory, kinds, strict=True)),
        )
        for index, part in earlier.network.plastic.items():
            self.network.plastic[index].modulator, self.network.plastic[index].origin = part.modulator, part.origin

    def weights(self, indices: Collection[int] | None = None) -> dict[int, NDArray[Any]]:
        """Plastic projections' weights (edges,) in the order of `edges()`, by the projection's index."""
        with torch.no_grad():
            now = self.network.learned(self.current)
        parts = zip(self.network.plastic.items(), now, strict=True)
        return {k: part.in_order(own)[0].numpy() for (k, part), own in parts if indices is None or k in indices}

    def set_weights(self, index: int, values: NDArray[Any]) -> None:
        """Replace a plastic projection's weights."""
        raise ValueError("the engine is torch, whose weights only follow their rule; expected engine='compiled'")

    def set_modulator(self, p: Projection, source: Any, start: int | None = None) -> None:
        """Replace a plastic projection's modulator; a series begins at step `start`, now by default."""
        self.network.plastic[p.index].set_modulator(
            modulator_of(self.net, p, {p: source}), self.step if start is None else start
        )

    def first_bad(self) -> NotFinite | None:
        """(population, neuron within it, variable) of the first state that is not finite."""
        for p, values in zip(self.net.populations, self.current.variables):
            if not torch.isfinite(values).all():
                neuron, variable = (~torch.isfinite(values[:, 0].T)).nonzero()[0].tolist()
                return NotFinite(p.name, neuron, self.network.models[p.index].states[variable])
        return None


class NetworkCell(nn.Module):
    """A network as a `Cell`: made by `as_cell`. Raises ValueError for an input of another shape.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 2, drive=20.0)
    >>> cell = rv.as_cell(net, dt=0.5)
    >>> state, y = cell.step(cell.init_state(batch=3), torch.zeros(3, 2))
    >>> y.shape
    torch.Size([3, 2])
    """

    def __init__(self, net: Network, dt: float, surrogate: Surrogate, dtype: torch.dtype, seed: int) -> None:
        super().__init__()
        self.network = TorchNetwork(net, dt, dtype, surrogate, external=True)
        self.seed = seed
        for p in net.projections:
            if isinstance(p.weight, nn.Parameter):
                self.register_parameter(f"weight_{p.index}", p.weight)
        for population in net.populations:
            for name, value in population.parameters.items():
                if isinstance(value, nn.Parameter):
                    self.register_parameter(f"{population.name}_{name}", value)

    def init_state(self, batch: int) -> NetworkState:
        """The state at t = 0 for `batch` copies of the network."""
        return self.network.init_state(batch, self.seed)

    def step(self, state: NetworkState, x: Tensor | None) -> tuple[NetworkState, Tensor]:
        """One step: x (B, N) mV -> (state, y (B, N)); y are spikes, or V of neurons that do not spike."""
        return self.network.step(self.network.constants(), state, self._checked(x))

    def forward(self, x: Tensor, state: NetworkState | None = None) -> tuple[Tensor, NetworkState]:
        """x (T, B, N) mV, added to each neuron's input (sources emit it) -> y (T, B, N), state."""
        if x.ndim != 3 or x.shape[0] == 0:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (T, B, {self.network.size}) with T > 0")
        self._checked(x)
        if not transformed():
            require_valid(self.network.net)  # what is trained may leave its domain
        constants = self.network.constants()
        state = self.init_state(x.shape[1]) if state is None else state
        outputs = []
        watch = None
        if torch.is_grad_enabled() and not transformed():
            watch = GradientWatch(len(x), x.shape[1])
            watch.parameters(v for values in constants["coefficients"].values() for v in values.values())
            watch.parameters(w for groups in constants["weights"].values() for _, w, _, _ in groups)
        for row in x.unbind(0):
            state, y = self.network.step(constants, state, row)
            outputs.append(y)
        y = torch.stack(outputs)
        return (y if watch is None else watch.outputs(y)), state

    def _checked(self, x: Tensor | None) -> Tensor | None:
        if x is not None and x.shape[-1] != self.network.size:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (..., {self.network.size}), one a neuron")
        return x


def as_cell(
    net: Network,
    dt: float,
    *,
    surrogate: Surrogate | None = None,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> NetworkCell:
    """The network as a torch module that is differentiable in its tensors and inputs.

    `forward(x[T, B, N], state=None) -> (y, state)`; x is a drive in mV on top of the network's own. Through recurrent
    spikes gradients may grow exponentially with the number of steps; a backward pass after which they say nothing
    warns, with the factor.
    Weights and parameters that require gradients receive them; those that are `nn.Parameter`s are listed
    by `parameters()`. Spikes pass gradients by `surrogate` (default ArcTan of width 1 mV); noise is a
    function of (seed, step).

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 2, drive=torch.tensor(20.0, requires_grad=True))
    >>> cell = rv.as_cell(net, dt=0.5)
    >>> spikes, state = cell(torch.zeros(100, 1, 2))  # (T, B, N)
    >>> spikes.sum().backward()
    >>> bool(cells.parameters["drive"].grad > 0)
    True
    """
    require_time(dt, "dt")
    return NetworkCell(net, dt, surrogate or ArcTan(), dtype, seed)
