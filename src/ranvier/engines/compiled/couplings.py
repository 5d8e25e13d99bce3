"""The compiled engine's continuous synapses: who sends V to whom, and how a step is agreed on.

Within a step every neuron follows its partners' voltages, which depend on its own. The step is repeated (waveform
relaxation: Lelarasmee, Ruehli & Sangiovanni-Vincentelli 1982; Hahne et al. 2015) until no voltage at its end changes
by more than `TOLERANCE`: the result depends on neither threads nor order. Gap junctions are solved exactly in every
repetition (`ranvier.engines.junctions`), so that few will do however strong they are.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.codegen.arithmetic.portable import Portable
from ranvier.codegen.compilation import kernel_address
from ranvier.codegen.records import address
from ranvier.engines.compiled.agreement import LIMIT, TOLERANCE, agree_address, join_address
from ranvier.engines.compiled.kernels import BEGIN, CHANGE, GUESS, KernelLayout, low, source
from ranvier.engines.compiled.loops import transmit_address
from ranvier.engines.compiled.records import COUPLING, JUNCTION, LINK, PART, SENDER
from ranvier.engines.compiled.synapse_tables import SynapseTable
from ranvier.engines.junctions import junctions, series
from ranvier.engines.step_model import StepModel
from ranvier.networks import Network, Population
from ranvier.synapses import Electrical


def senders(net: Network) -> set[int]:
    """The indices of populations whose V is agreed on: it goes out by continuous synapses, or gap junctions enter."""
    out = {p.source.index for p in net.projections if p.synapse.continuous}
    return out | {p.target.index for p in net.projections if isinstance(p.synapse, Electrical)}


class Couplings:
    """The tables of a network's continuous synapses; `blocks` are its populations' rows of numbers, views of memory
    that must not move."""

    def __init__(
        self,
        net: Network,
        models: dict[int, StepModel],
        layouts: dict[int, KernelLayout],
        blocks: dict[int, NDArray[Any]],
        real: Any,
        dt: float,
    ) -> None:
        self.dt = dt
        links: list[tuple[int, ...]] = []
        self._arrays: list[NDArray[Any] | None] = []  # that the tables point into
        for target in [p for p in net.populations if p.index in models]:
            for port in models[target.index].coupled:
                if isinstance(port.synapse, Electrical):
                    continue
                for k, p in enumerate(port.projections):
                    if p.source.index not in models:
                        raise ValueError(
                            f"{p!r} is continuous and starts from a source of spikes, without voltage; expected a "
                            "population with V there"
                        )
                    synapses = SynapseTable.by_target(p, np.float64)
                    own = p.synapse.numbers
                    constants = np.array([synapses.constant, own.get("V_half", 0.0), own.get("slope", 0.0)])
                    arrays = synapses.pointers, synapses.items.astype(np.int32), synapses.weights, constants
                    self._arrays += arrays
                    _, _, *voltage = self._voltage(p.source, layouts, blocks, models)
                    where, block = layouts[target.index], blocks[target.index]
                    at = [_row(where, block, n) for x in (port.input, port.end) for n in (x.name, low(x.name))]
                    rows, items, weights, numbers = map(address, arrays)
                    links.append((
                        k == 0, *voltage, *at, rows, items, weights, p.source.size, target.size,
                        numbers,
                    ))  # fmt: skip
        self.links = np.array(links, LINK)
        self.senders = np.zeros(len(net.populations), SENDER)
        for index in senders(net):
            where, block = layouts[index], blocks[index]
            text = source(models[index], where, real is np.float64, guess=True)
            voltage = self._voltage(net.populations[index], layouts, blocks, models)
            self.senders[index] = (kernel_address(text), *voltage, _row(where, block, CHANGE))
        self.changes = np.zeros(1)  # the largest that a step was left with
        joined = self._junctions(net, models, layouts, blocks)
        times = np.array([float(dt)])
        self._arrays.append(times)
        self.header = np.array(
            [
                (
                    address(self.links), len(links), address(self.senders), address(joined), address(self.changes),
                    address(times), agree_address(real), transmit_address(real),
                    0 if joined is None else join_address(real),
                )
            ],
            COUPLING,
        )  # fmt: skip

    def _junctions(
        self, net: Network, models: dict[int, StepModel], layouts: dict[int, KernelLayout],
        blocks: dict[int, NDArray[Any]],
    ) -> NDArray[Any] | None:
        """The table of gap junctions, None where there are none."""
        system = junctions(net, models)
        if system is None:
            return None
        with Portable():
            gains = system.gains().detach()
        rates = system.rates(gains).detach()
        a = system.stiffness(rates, self.dt)
        terms = series(a, system.directed)
        parts = []
        for index, first in zip(system.populations, system.firsts, strict=True):
            model, where, block, port = models[index], layouts[index], blocks[index], system.port(index)
            _, _, *voltage = self._voltage(net.populations[index], layouts, blocks, models)
            held = _row(where, block, "refractory_left") if model.states[0] in model.held else 0
            ends = [] if port is None else [n for x in (port.input, port.end) for n in (x.name, low(x.name))]
            into = [_row(where, block, n) for n in ends] or [0] * 4
            parts.append((first, net.populations[index].size, *voltage, held, *into))
        arrays = (
            np.array(parts, PART), np.searchsorted(system.rows, np.arange(system.cells + 1)).astype(np.int64),
            system.columns, (rates * self.dt / a).numpy(), system.references, terms, 1 / (self.dt * gains.numpy()),
            np.zeros((15, system.cells)), np.ones(1), system.tails(terms), np.array([system.least(gains)]),
        )  # fmt: skip
        table, rows, columns, scaled, references, terms, scales, room, share, tails, least = arrays
        row = (
            system.cells, address(table), len(parts), address(rows), address(columns), address(scaled),
            address(references), address(terms), terms.shape[1], address(scales), address(room),
            address(share), address(tails), address(least),
        )  # fmt: skip
        joined = np.array([row], JUNCTION)
        self._arrays += [*arrays, joined]
        return joined

    def _voltage(
        self, p: Population, layouts: dict[int, KernelLayout], blocks: dict[int, NDArray[Any]],
        models: dict[int, StepModel],
    ) -> list[int]:
        where, block, soma = layouts[p.index], blocks[p.index], models[p.index].states[0]
        names = soma, low(soma), BEGIN, low(BEGIN), GUESS, low(GUESS)
        return [_row(where, block, name) for name in names]

    def check(self) -> None:
        """Warn where a step was left before its voltages were agreed on."""
        change, self.changes[0] = self.changes[0], 0.0
        if change > TOLERANCE:
            warn_of_change(change, self.dt)


def warn_of_change(change: float, dt: float) -> None:
    """Warn that a step was left while voltages still changed by `change` (mV)."""
    warnings.warn(
        f"voltages joined by continuous synapses still changed by {change:.2g} mV after {LIMIT} repetitions of a step; "
        f"expected less than {TOLERANCE:g} mV: shorten dt (now {dt:g} ms)",
        RuntimeWarning,
        stacklevel=3,
    )


def _row(where: KernelLayout, block: NDArray[Any], name: str) -> int:
    return block[where.rows.index(name)].ctypes.data if name in where.rows else 0
