"""A network of integrators as a chip's program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ranvier._checks import count, instance
from ranvier.hardware._integrator import Integrator
from ranvier.hardware.program import STEP, ChipProgram

if TYPE_CHECKING:
    import ranvier as rv
    from ranvier.networks import Population, Projection


def from_network(net: rv.Network, steps: int) -> tuple[ChipProgram, np.ndarray]:
    """The program that runs a network on a NeuroCoreX, and its input spikes (steps, inputs): the reverse of
    `to_network`, for graphs of any kind, layers or small worlds.

    The chip has one kind of neuron: populations of `rv.hardware.Integrator`, in order of `add`, become its neurons,
    those of `rv.SpikeTimes` its inputs, whose spike at (k + 1) · .96 ms is one of step k. Projections need delays of
    .96 ms, `Delta` synapses and whole weights from −128 to 127; several between two neurons add up. The drive is the
    same for all, minus the leak. (`rv.simulate` is two steps behind: its neurons begin as the chip's with
    initial={"V": −2 drive}.) Raises ValueError, with the population or projection, for what the chip cannot be.

    >>> from ranvier.hardware import from_network
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> source = net.add(rv.SpikeTimes([0.96, 1.92, 2.88], [0, 0, 0]), 1)
    >>> cell = net.add(rv.hardware.Integrator(V_th=5.0), 1)
    >>> projection = net.connect(source, cell, weight=3.0, delay=0.96, edges=([0], [0]))
    >>> program, inputs = from_network(net, steps=6)
    >>> rv.hardware.run(program, inputs).spikes[:, 0].nonzero()[0].tolist()
    [2]
    """
    import ranvier as rv

    instance(net, rv.Network, "net", "an rv.Network")
    steps = count(steps, "steps")
    cells = [p for p in net.populations if type(p.neuron) is Integrator]
    sources = [p for p in net.populations if isinstance(p.neuron, rv.SpikeTimes)]
    for p in net.populations:
        if p not in cells and p not in sources:
            raise ValueError(f"{p!r} is of {type(p.neuron).__name__}; expected rv.hardware.Integrator or rv.SpikeTimes")
    if not cells:
        raise ValueError("the network has no population of rv.hardware.Integrator; expected one at least")
    first = {p.index: start for group in (cells, sources) for p, start in zip(group, _starts(group), strict=True)}
    n, m = sum(p.size for p in cells), sum(p.size for p in sources)
    forward, recurrent = np.zeros((n, m)), np.zeros((n, n))
    for projection in net.projections:
        source, target = (np.asarray(ends) for ends in projection.edges())
        _require_delta(projection)
        into = forward if projection.source in sources else recurrent
        weight = np.broadcast_to(np.asarray(projection.weight, np.float64), source.shape)
        np.add.at(into, (target + first[projection.target.index], source + first[projection.source.index]), weight)
    drive = np.concatenate([_each(p, "drive") for p in cells])
    if (drive != drive[0]).any():
        raise ValueError(f"drives reach from {drive.min()} to {drive.max()}; expected one for all: the leak is global")
    threshold = np.concatenate([_each(p, "V_th") for p in cells])
    program = ChipProgram(forward, recurrent, threshold=threshold, leak=-float(drive[0]))
    return program, _inputs(sources, steps, m, first)


def _starts(group: list[Population]) -> list[int]:
    return np.cumsum([0, *(p.size for p in group)])[:-1].tolist()


def _each(population: Population, name: str) -> np.ndarray:
    return np.broadcast_to(np.asarray(population.parameters[name], np.float64), (population.size,))


def _require_delta(projection: Projection) -> None:
    import ranvier as rv

    delay = np.asarray(projection.delay, np.float64)
    if type(projection.synapse) is not rv.Delta or projection.plasticity is not None or not np.allclose(delay, STEP):
        raise ValueError(
            f"{projection!r} has {type(projection.synapse).__name__} synapses and delays of {delay.ravel()[:3]} ms; "
            f"expected Delta ones without plasticity, of {STEP} ms, one step of the chip"
        )


def _inputs(sources: list[Population], steps: int, m: int, first: dict[int, int]) -> np.ndarray:
    """Input spikes (steps, m), bool."""
    spikes = np.zeros((steps, m), bool)
    for p in sources:
        model = p.neuron
        times, neurons = (np.asarray(getattr(model, name), np.float64) for name in ("times", "neurons"))
        step = np.rint(times / STEP).astype(int) - 1
        if not np.allclose((step + 1) * STEP, times) or (step < 0).any() or (step >= steps).any():
            raise ValueError(f"{p!r} spikes at {times[:3]}... ms; expected multiples of {STEP} up to {steps * STEP:g}")
        spikes[step, neurons.astype(int) + first[p.index]] = True
    return spikes


__all__ = ["from_network"]
