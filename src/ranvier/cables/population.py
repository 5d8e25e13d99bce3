"""A cell of many compartments as populations of a network: a neuron a compartment, gap junctions between them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ranvier._checks import count as whole_count
from ranvier._checks import instance, number
from ranvier.cables.cell import CableCell
from ranvier.cables.processes import Process, channels_of
from ranvier.equations import Equations, parameter
from ranvier.equations.declarations import declared
from ranvier.equations.printing import torch_function
from ranvier.networks import Network, Population
from ranvier.neurons import Neuron
from ranvier.synapses import Electrical


@dataclass(frozen=True)
class CablePopulations:
    """What `add_cells` returns: compartments with the same channels are one population.

    populations: in the order of their first compartments; cells: how many; owner, place: of each compartment, (n,), its
    population and its place among that population's compartments.
    """

    populations: tuple[Population, ...]
    cells: int
    owner: tuple[int, ...]
    place: tuple[int, ...]

    def at(self, compartment: int, cell: int = 0) -> tuple[Population, int]:
        """The population of a compartment, and the neuron in it that is this compartment of a cell."""
        if not (0 <= compartment < len(self.owner) and 0 <= cell < self.cells):
            raise ValueError(
                f"compartment is {compartment} and cell {cell}; expected one of {len(self.owner)} compartments and of "
                f"{self.cells} cells"
            )
        population = self.populations[self.owner[compartment]]
        return population, cell * (population.size // self.cells) + self.place[compartment]


def add_cells(
    net: Network, cell: CableCell, cells: int = 1, name: str = "cable", *, V: float = -65.0, threshold: float = -20.0
) -> CablePopulations:
    """Add copies of a cell to a network: every compartment becomes a neuron, and gap junctions join it to its parent.

    What the engines, the files and the torch engine's gradients have for networks then holds for cells of many
    compartments: synapses, plasticity and probes at any compartment, other populations beside them. A junction's
    conductances are solved as one linear system with an error of second order (docs/contracts.md); channels' gates
    follow by `exponential_euler`, of first order: take shorter steps than with `cables.simulate`, which is also
    faster by itself.

    Neurons have g_L = 1 nS, so that inputs and drives in mV are currents in pA. Compartments with gates spike when V
    passes `threshold` (mV), once in 3 ms; nothing is reset. `V`: at the start, with gates at their steady states.

    Raises
    ------
    ValueError
        for channels whose parameters differ between cells, and for what `Network.add` refuses.

    Examples
    --------
    >>> import ranvier as rv
    >>> shape = rv.cables.Morphology(soma_diameter=20.0)
    >>> dendrite = shape.add(100.0, 2.0)
    >>> cell = rv.cables.CableCell(shape, [rv.cables.Leak()], max_length=50.0)
    >>> net = rv.Network()
    >>> neurons = rv.cables.add_cells(net, cell, 10)
    >>> tips, first = neurons.at(cell.at(dendrite))
    >>> spikes = net.add(rv.SpikeTimes([5.0], [0]), 1)
    >>> edges = ([0], [first])
    >>> _ = net.connect(spikes, tips, weight=1.0, synapse=rv.AlphaConductance(), edges=edges)
    >>> V = rv.simulate(net, 20.0, dt=0.05, record="V").states["V"].values
    >>> bool(V[-1, first] > V[-1, neurons.at(0)[1]] > V[-1, neurons.at(0, cell=1)[1]])
    True
    """
    instance(net, Network, "net", "a Network")
    instance(cell, CableCell, "cell", "a CableCell")
    cells, processes = whole_count(cells, "cells", 1), channels_of(cell)
    held: list[list[int]] = [[] for _ in range(len(cell))]
    for k, process in enumerate(processes):
        for i in process.places:
            held[i].append(k)
    sets: dict[tuple[int, ...], list[int]] = {}
    for i, own_channels in enumerate(held):
        sets.setdefault(tuple(own_channels), []).append(i)
    owner, place = np.zeros(len(cell), np.int64), np.zeros(len(cell), np.int64)
    populations = []
    for k, (own, places) in enumerate(sets.items()):
        owner[places], place[places] = k, np.arange(len(places))
        model, start = _model([processes[p] for p in own], places, cell, cells, V, threshold)
        populations.append(net.add(model, cells * len(places), f"{name}_{k}" if k else name, initial=start))
    _join(net, cell, populations, owner, place, cells)
    return CablePopulations(tuple(populations), cells, tuple(owner.tolist()), tuple(place.tolist()))


def _model(
    processes: list[Process], places: list[int], cell: CableCell, cells: int, V: float, threshold: float
) -> tuple[Neuron, dict[str, Any]]:
    """The neuron of compartments with these channels, with a value a neuron, and the state they start from."""
    lines, currents = [], []
    values: dict[str, Any] = {"C_m": torch.from_numpy(np.tile(cell.capacitance[places], cells))}
    body: dict[str, Any] = {"C_m": parameter(1.0, "pF", "capacitance", above=0)}
    start: dict[str, Any] = {"V": number(V, "V", "mV")}
    for k, process in enumerate(processes):
        channel, tag = process.model, f"_ch{k}"
        records = declared(type(channel))
        for key, value in channel.parameters.items():
            record = records[key]
            bounds = {b: getattr(record, b) for b in ("above", "at_least", "below", "at_most")}
            body[key + tag] = parameter(float(value), record.unit, record.doc, **bounds)
        text = "" if channel.equations is None else channel.equations.text
        names = {*channel.parameters, *process.kind.states, *re.findall(r"^(\w+)\s*=", text, re.M)}
        lines += [_renamed(line, names, tag) for line in text.splitlines()]
        currents.append(f"scale{k}*({_renamed(channel.current, names, tag)})")
        body[f"scale{k}"] = parameter(1.0, "", "pA of 1 uA/cm^2", at_least=0)
        sizes = process.sizes[np.searchsorted(process.places, places)]
        values[f"scale{k}"] = torch.from_numpy(np.tile(sizes, cells))
        numbers = {key: torch.tensor(float(value)).double() for key, value in channel.parameters.items()}
        steady: dict[str, Tensor] = {}
        if process.kind.initial:
            steady = torch_function(process.kind.initial)(**numbers, V=torch.tensor(start["V"]).double())
        start |= {f"{gate}{tag}": float(x) for gate, x in steady.items()}
    body["g_L"] = parameter(1.0, "nS", "of a mV of input, which is then a pA", above=0)
    spiking: dict[str, Any] = {}
    if any(process.kind.states for process in processes):
        body["V_th"] = parameter(number(threshold, "threshold", "mV"), "mV", "where a spike is counted")
        body["t_spike"] = parameter(3.0, "ms", "during which one spike is counted once", at_least=0)
        spiking = {"threshold": "V >= V_th", "refractory": "t_spike", "holds": False}
    out = " - ".join(["g_L*(I + drive)", *currents])
    equations = Equations("\n".join([f"dV/dt = ({out})/C_m : mV", *lines]), **spiking)
    annotations = dict.fromkeys(body, float)
    model = type("CompartmentNeuron", (Neuron,), {"equations": equations, "__annotations__": annotations, **body})
    return model(**values), start


def _renamed(text: str, names: set[str], tag: str) -> str:
    """Text with `tag` after each of the names, and within the d.../dt of one."""

    def rename(match: re.Match[str]) -> str:
        word = match[0]
        if word in names or (word[0] == "d" and word[1:] in names and text[match.end() :].startswith("/dt")):
            return word + tag
        return word

    return re.sub(r"[A-Za-z]\w*", rename, text)


def _join(
    net: Network, cell: CableCell, populations: list[Population], owner: Any, place: Any, cells: int
) -> None:
    children = np.arange(1, len(cell))
    ends = children, cell.parent[1:]
    for a, source in enumerate(populations):
        for b, target in enumerate(populations):
            pairs: list[tuple[Any, Any, Any]] = []
            for s, t in (ends, ends[::-1]):  # a junction has both directions
                chosen = (owner[s] == a) & (owner[t] == b)
                pairs.append((place[s[chosen]], place[t[chosen]], cell.axial[1:][chosen]))
            s, t, g = (np.concatenate(x) for x in zip(*pairs))
            if not len(s):
                continue
            shift = np.arange(cells)[:, None]
            sources = (shift * (source.size // cells) + s).reshape(-1)
            targets = (shift * (target.size // cells) + t).reshape(-1)
            weight = torch.from_numpy(np.tile(g, cells))
            net.connect(source, target, weight=weight, synapse=Electrical(), edges=(sources, targets))


__all__ = ["CablePopulations", "add_cells"]
