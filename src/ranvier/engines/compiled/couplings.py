"""The compiled engine's continuous synapses: who sends V to whom, and how a step is agreed on.

Within a step every neuron follows its partners' voltages, which depend on its own. The step is repeated (waveform
relaxation: Lelarasmee, Ruehli & Sangiovanni-Vincentelli 1982; Hahne et al. 2015) until no voltage at its end changes
by more than `TOLERANCE`: the result depends on neither threads nor order.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from ranvier.codegen.compilation import kernel_address
from ranvier.codegen.records import address
from ranvier.engines.compiled.kernels import CHANGE, GUESS, KernelLayout, low, source
from ranvier.engines.compiled.loops import transmit_address
from ranvier.engines.compiled.records import COUPLING, LINK, SENDER
from ranvier.engines.compiled.synapse_tables import SynapseTable
from ranvier.engines.step_model import StepModel
from ranvier.equations import symbol
from ranvier.equations.printing import torch_function
from ranvier.networks import Network, Population
from ranvier.synapses import Electrical

#: mV (the unit of V) by which no voltage at a step's end may still change, and repetitions of a step at most
TOLERANCE, LIMIT = 1e-8, 1000
#: dt·G/C of gap junctions up to which a jump of V is shared out among unlike cells to 1 %
STIFFNESS = 0.5


def senders(net: Network) -> set[int]:
    """The indices of populations whose V goes out by continuous synapses."""
    return {p.source.index for p in net.projections if p.synapse.continuous}


class Couplings:
    """The tables of a network's continuous synapses; `blocks` are its populations' rows of numbers, views of memory
    that must not move."""

    def __init__(
        self,
        net: Network,
        models: dict[int, StepModel],
        layouts: dict[int, KernelLayout],
        blocks: dict[int, NDArray],
        real: Any,
        dt: float,
    ) -> None:
        self.dt = dt
        warn_of_stiffness(models, dt)
        links: list[tuple[int, ...]] = []
        self._arrays: list[NDArray | None] = []  # that the tables point into
        for target in [p for p in net.populations if p.index in models]:
            for port in models[target.index].coupled:
                for k, p in enumerate(port.projections):
                    if p.source.index not in models:
                        raise ValueError(f"{p!r} is continuous and starts from a source of spikes, without voltage")
                    synapses = SynapseTable.by_target(p, np.float64)
                    own = p.synapse.numbers
                    constants = np.array([synapses.constant, own.get("V_half", 0.0), own.get("slope", 0.0)])
                    arrays = synapses.pointers, synapses.items.astype(np.int32), synapses.weights, constants
                    self._arrays += arrays
                    V, V_low, guess, guess_low = self._voltage(p.source, layouts, blocks, models)
                    where, block = layouts[target.index], blocks[target.index]
                    at = [_row(where, block, n) for x in (port.input, port.end) for n in (x.name, low(x.name))]
                    rows, items, weights, numbers = map(address, arrays)
                    links.append((
                        k == 0, V, V_low, guess, guess_low, *at, rows, items, weights, p.source.size, target.size,
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
        self.header = np.array(
            [(address(self.links), len(links), address(self.senders), address(self.changes), transmit_address(real))],
            COUPLING,
        )

    def _voltage(
        self, p: Population, layouts: dict[int, KernelLayout], blocks: dict[int, NDArray], models: dict[int, StepModel]
    ) -> list[int]:
        where, block, soma = layouts[p.index], blocks[p.index], models[p.index].states[0]
        return [_row(where, block, name) for name in (soma, low(soma), GUESS, low(GUESS))]

    def check(self) -> None:
        """Warn where a step was left before its voltages were agreed on."""
        change, self.changes[0] = self.changes[0], 0.0
        if change > TOLERANCE:
            warn_of_change(change, self.dt)


def warn_of_stiffness(models: dict[int, StepModel], dt: float) -> None:
    """Warn of gap junctions that equalise unlike cells within a step: charge is then lost where voltages jump.

    Cells of one dt·G/C are left out: what they have in common is exact.
    """
    shares = [x for model in models.values() for x in _stiffness(model, dt)]
    if shares and max(shares) > STIFFNESS and max(shares) > (1 + 1e-9) * min(shares):
        warnings.warn(
            f"gap junctions have dt G/C of up to {max(shares):.3g} a neuron (G their conductance, C its capacitance); "
            f"expected at most {STIFFNESS:g}, beyond which a jump of V between unlike neurons ends up wrong by 1 % of "
            f"itself or more: use dt = {dt * STIFFNESS / max(shares):.2g} ms (now {dt:g} ms)",
            RuntimeWarning,
            stacklevel=3,
        )


def _stiffness(model: StepModel, dt: float) -> list[float]:
    """dt·G/C of every neuron with gap junctions, G their sum; of constant capacitances only."""
    out: list[float] = []
    for port in model.coupled:
        rate = sp.diff(model.equations[0].drift, port.input) * symbol(port.name("G"))
        values = {k: v.detach() for k, v in model.parameters().items()}
        if isinstance(port.synapse, Electrical) and {s.name for s in rate.free_symbols} <= set(values):
            each = torch_function({"rate": rate})(**values)["rate"].expand(model.population.size)
            out += (dt * each[each != 0]).abs().tolist()
    return out


def warn_of_change(change: float, dt: float) -> None:
    """Warn that a step was left while voltages still changed by `change` (mV)."""
    warnings.warn(
        f"voltages joined by continuous synapses still changed by {change:.2g} mV after {LIMIT} repetitions of a step; "
        f"expected less than {TOLERANCE:g} mV: shorten dt (now {dt:g} ms)",
        RuntimeWarning,
        stacklevel=3,
    )


def _row(where: KernelLayout, block: NDArray, name: str) -> int:
    return block[where.rows.index(name)].ctypes.data if name in where.rows else 0
