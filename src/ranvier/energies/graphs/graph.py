"""Associative memories as graphs: neuron layers given by Lagrangians, joined by synapses, with one energy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ranvier.energies._energy import Clamp, Energy, check_whole_rows
from ranvier.energies._layout import Layout
from ranvier.energies.graphs.lagrangians import Lagrangian
from ranvier.energies.graphs.synapses import GraphSynapse

if TYPE_CHECKING:
    from ranvier.energies.graphs._loop import GraphArrays


@dataclass(frozen=True)
class Layer:
    """A layer: its Lagrangian, its shape without the batch, and its time constant (in units of the descent's time).

    Raises TypeError for what is no Lagrangian, ValueError for a time constant that is not positive.

    >>> layer = rv.energies.Layer(rv.energies.lagrangians.ReLU(), (28, 28), tau=10.0)
    >>> rv.energies.EnergyGraph({"image": layer}, []).units
    784
    """

    lagrangian: Lagrangian
    shape: tuple[int, ...]
    tau: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.lagrangian, Lagrangian):
            raise TypeError(f"lagrangian is a {type(self.lagrangian).__name__}; expected a Lagrangian")
        if not self.tau > 0:
            raise ValueError(f"tau is {self.tau}; expected a positive number")
        object.__setattr__(self, "shape", (self.shape,) if isinstance(self.shape, int) else tuple(self.shape))


class EnergyGraph(Energy):
    """E = Σ_layers [x·y − L(x)] + Σ_synapses E_s(y, ...), y = ∇L(x) (Krotov 2021; Hoover et al. 2022, HAMUX).

    Descent is τ dx/dt = −∂E/∂y, by activations: −x plus what the synapses pull. As each L is convex the energy never
    rises, whatever the graph.

    neurons: name -> `Layer`. connections: (names, synapse) pairs: the synapse gets the activations of these layers,
    in this order; a layer may be named twice, and a synapse used twice.

        graph = EnergyGraph({"image": Layer(Identity(), (784,)), "memory": Layer(Softmax(), (100,))},
                      [(("image", "memory"), Dense(784, 100))])
        end = Descent(graph).settle(graph.layout.join({...}), graph.layout.clamp(image=...))
        graph.layout.split(end.y)["memory"]

    Raises ValueError for names that are not there and synapses whose sizes do not fit.

    >>> linear = rv.energies.Layer(rv.energies.lagrangians.Identity(), (2,))
    >>> joined = rv.energies.synapses.Dense(2, 2, 0.5 * torch.eye(2))
    >>> graph = rv.energies.EnergyGraph({"a": linear, "b": linear}, [(("a", "b"), joined)])
    >>> clamp = graph.layout.clamp(a=torch.tensor([[1.0, 2.0]]))
    >>> end = rv.energies.Descent(graph, tol=1e-5).settle(torch.zeros(1, 4), clamp)
    >>> [round(v, 3) for v in graph.layout.split(end.y)["b"][0].tolist()]  # what the synapse passes on
    [0.5, 1.0]
    """

    speed: Tensor | None

    def __init__(
        self, neurons: Mapping[str, Layer], connections: Iterable[tuple[tuple[str, ...] | str, GraphSynapse]]
    ) -> None:
        super().__init__()
        self.neurons = dict(neurons)
        self.layout = Layout({name: layer.shape for name, layer in self.neurons.items()})
        self.units = self.layout.units
        self.connections: list[tuple[tuple[str, ...], GraphSynapse]] = []
        for names, synapse in connections:
            names = (names,) if isinstance(names, str) else tuple(names)
            for name in names:
                if name not in self.neurons:
                    raise ValueError(f"a connection is of {name!r}; expected layers among {', '.join(self.neurons)}")
            synapse.check(*(self.neurons[name].shape for name in names))
            self.connections.append((names, synapse))
        self._arrays: tuple[GraphArrays | None] | None = None
        self.synapses = nn.ModuleList(synapse for _, synapse in self.connections)
        parts = {name: torch.full((1, *layer.shape), 1 / layer.tau) for name, layer in self.neurons.items()}
        speed = self.layout.join(parts)[0]
        self.register_buffer("speed", None if bool((speed == 1).all()) else speed)

    def activations(self, x: Tensor) -> Tensor:
        """y (B, N), all layers."""
        return torch.cat([y.flatten(1) for y in self._activations(self.layout.split(x)).values()], 1)

    def advance(
        self, x: Tensor, steps: int, width: float, clamp: Clamp | None, field: Tensor | None
    ) -> Tensor | None:
        """In one compiled loop over all steps, if all synapses are dense."""
        from ranvier.energies.graphs import _loop

        if self._arrays is None:
            self._arrays = (_loop.arrays(self),)
        (known,) = self._arrays
        dtypes = {x.dtype, *(p.dtype for p in self.parameters())}
        if known is None or x.device.type != "cpu" or len(dtypes) > 1 or x.dtype not in (torch.float32, torch.float64):
            return None
        return _loop.run(known, x, steps, width, self.speed, clamp, field)

    def check_clamp(self, clamp: Clamp) -> None:
        """A row whose activations depend on each other (softmax, norms) must be held as a whole or not at all."""
        masks = self.layout.split(clamp.mask.reshape(-1, self.units))
        for name, layer in self.neurons.items():
            if layer.lagrangian.rowwise:
                check_whole_rows(masks[name], f"layer {name!r} ({layer.lagrangian})")

    def flow(self, force: Tensor) -> Tensor:
        """The force (B, N) over each layer's time constant."""
        return force if self.speed is None else force * self.speed

    def energies(self, x: Tensor) -> dict[str, Tensor]:
        """The parts that add up to the energy, each (B,): layers by name, synapses as "a-b"."""
        layers = self.layout.split(self.place(x))
        y = self._activations(layers)
        parts = {name: n.lagrangian.energy(layers[name], y[name]) for name, n in self.neurons.items()}
        for k, (names, synapse) in enumerate(self.connections):
            label = "-".join(names)
            parts[label if label not in parts else f"{label} ({k})"] = synapse(*(y[name] for name in names))
        return parts

    def _activations(self, layers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: n.lagrangian.activations(layers[name]) for name, n in self.neurons.items()}

    def _value(self, x: Tensor) -> Tensor:
        return torch.stack(list(self.energies(x).values())).sum(0)

    def _force(self, x: Tensor) -> Tensor:
        y = self._activations(self.layout.split(x))
        pulled: dict[str, Tensor] = {}
        for names, synapse in self.connections:
            for name, pull in zip(names, synapse.pulls(*(y[name] for name in names)), strict=True):
                pulled[name] = pulled[name] + pull if name in pulled else pull
        parts = [
            pulled[name].flatten(1) if name in pulled else x.new_zeros(len(x), where.stop - where.start)
            for name, where in self.layout.slices.items()
        ]
        return torch.cat(parts, 1) - x


__all__ = ["EnergyGraph", "Layer"]
