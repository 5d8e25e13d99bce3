"""Who connects to whom in a liquid network: fully connected, or neural circuit policies (Lechner et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ranvier._results import Fields


@dataclass(frozen=True, eq=False)
class LiquidSynapses:
    """Existing synapses only, by target, then source: sources, targets (S,) int64, signs (S,) of ±1."""

    sources: np.ndarray
    targets: np.ndarray
    signs: np.ndarray

    def __len__(self) -> int:
        return len(self.sources)

    @classmethod
    def from_matrix(cls, signs: np.ndarray) -> LiquidSynapses:
        """From a matrix [target, source] whose entries are a synapse's sign, 0 for none."""
        targets, sources = np.nonzero(signs)
        return cls(sources.astype(np.int64), targets.astype(np.int64), np.sign(signs[targets, sources]).astype(float))

    def first(self, units: int) -> np.ndarray:
        """Where each target's synapses begin, and the end: (units + 1,) int64."""
        return np.searchsorted(self.targets, np.arange(units + 1)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class LiquidWiring(Fields):
    """A drawn wiring. `layers` are the units from the input's side to the output's; the first `outputs` units are
    the output. Input k drives units by `sensory` synapses, units drive units by `recurrent` ones.

    >>> wiring = rv.nn.FullyConnected(8).draw(3)
    >>> wiring.units, wiring.inputs, len(wiring.sensory), len(wiring.recurrent)
    (8, 3, 24, 64)
    """

    units: int
    outputs: int
    inputs: int
    sensory: LiquidSynapses
    recurrent: LiquidSynapses
    layers: tuple[tuple[int, ...], ...]


class Wirer(Protocol):
    """What draws a `LiquidWiring`, the same for the same seed."""

    def draw(self, inputs: int) -> LiquidWiring:
        """For that many input features."""


@dataclass(frozen=True)
class FullyConnected:
    """Every unit to every unit, every input to every unit; two of three synapses excite.

    Raises ValueError for sizes that do not fit.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.FullyConnected(8).units
    8
    """

    units: int
    outputs: int | None = None
    seed: int = 0
    self_connections: bool = True

    def __post_init__(self) -> None:
        _whole(units=self.units)
        if self.outputs is not None and not 1 <= self.outputs <= self.units:
            raise ValueError(f"outputs is {self.outputs}; expected 1 to {self.units}, the number of units")

    def draw(self, inputs: int) -> LiquidWiring:
        """For that many input features."""
        _whole(inputs=inputs)
        rng = np.random.default_rng(self.seed)
        recurrent = rng.choice([-1, 1, 1], (self.units, self.units))
        if not self.self_connections:
            np.fill_diagonal(recurrent, 0)
        sensory = rng.choice([-1, 1, 1], (self.units, inputs))
        return LiquidWiring(
            self.units, self.outputs or self.units, inputs, LiquidSynapses.from_matrix(sensory),
            LiquidSynapses.from_matrix(recurrent), (tuple(range(self.units)),),
        )  # fmt: skip


@dataclass(frozen=True)
class NCP:
    """Neural circuit policy: sensory → inter → command → motor (Lechner et al. 2020, after C. elegans).

    Units are numbered motor first, then command, then inter; the motor neurons are the output.

    Parameters
    ----------
    inter, command, motor : numbers of neurons.
    sensory_fanout : interneurons that an input reaches.
    inter_fanout : command neurons that an interneuron reaches.
    recurrent_command : synapses drawn between command neurons, any with any; the same pair may come twice.
    motor_fanin : command neurons that reach a motor neuron.

    A neuron that the draw left without input (inter, command) or without target (command) gets as many synapses
    as the others have on average, at least one. Signs are ±1 with equal chance.
    Raises ValueError for fan-outs that exceed the layer they reach.

    Examples
    --------
    >>> import ranvier as rv
    >>> wirer = rv.nn.NCP(6, 4, 2, sensory_fanout=2, inter_fanout=2, recurrent_command=3, motor_fanin=2)
    >>> wirer.inter + wirer.command + wirer.motor
    12
    """

    inter: int
    command: int
    motor: int
    sensory_fanout: int
    inter_fanout: int
    recurrent_command: int
    motor_fanin: int
    seed: int = 0

    def __post_init__(self) -> None:
        _whole(inter=self.inter, command=self.command, motor=self.motor)
        limits = {"sensory_fanout": "inter", "inter_fanout": "command", "motor_fanin": "command"}
        for name, layer in limits.items():
            if not 1 <= getattr(self, name) <= getattr(self, layer):
                raise ValueError(
                    f"{name} is {getattr(self, name)}; expected 1 to {getattr(self, layer)}, the {layer} neurons"
                )
        if self.recurrent_command < 0:
            raise ValueError(f"recurrent_command is {self.recurrent_command}; expected 0 or more")

    def draw(self, inputs: int) -> LiquidWiring:
        """For that many input features."""
        _whole(inputs=inputs)
        rng = np.random.default_rng(self.seed)
        units = self.motor + self.command + self.inter
        motor = np.arange(self.motor)
        command = self.motor + np.arange(self.command)
        inter = self.motor + self.command + np.arange(self.inter)
        sensory = np.zeros((units, inputs), np.int64)
        recurrent = np.zeros((units, units), np.int64)

        def choose(of: np.ndarray, count: int) -> np.ndarray:
            return rng.choice(of, count, replace=False)

        def sign(count: int) -> np.ndarray:
            return rng.choice([-1, 1], count)

        for k in range(inputs):
            sensory[choose(inter, self.sensory_fanout), k] = sign(self.sensory_fanout)
        for target in inter[~sensory[inter].any(1)]:
            count = min(max(inputs * self.sensory_fanout // self.inter, 1), inputs)
            sensory[target, choose(np.arange(inputs), count)] = sign(count)
        for source in inter:
            recurrent[choose(command, self.inter_fanout), source] = sign(self.inter_fanout)
        for target in command[~recurrent[command].any(1)]:
            count = min(max(self.inter * self.inter_fanout // self.command, 1), self.inter)
            recurrent[target, choose(inter, count)] = sign(count)
        for _ in range(self.recurrent_command):
            recurrent[rng.choice(command), rng.choice(command)] = rng.choice([-1, 1])
        for k in range(self.motor):
            recurrent[k, choose(command, self.motor_fanin)] = sign(self.motor_fanin)
        for source in command[~recurrent[motor][:, command].any(0)]:
            count = min(max(self.motor * self.motor_fanin // self.command, 1), self.motor)
            recurrent[choose(motor, count), source] = sign(count)
        return LiquidWiring(
            units, self.motor, inputs, LiquidSynapses.from_matrix(sensory), LiquidSynapses.from_matrix(recurrent),
            tuple(tuple(int(k) for k in layer) for layer in (inter, command, motor)),
        )  # fmt: skip


def AutoNCP(units: int, outputs: int, *, sparsity: float = 0.5, seed: int = 0) -> NCP:
    """An `NCP` from its size: 60 % of the units that are no outputs are inter-, 40 % command neurons, and each
    reaches a share 1 − sparsity of the next layer (Lechner et al. 2020; ncps).

    Raises ValueError for fewer than three units above the outputs, and a sparsity outside [0.1, 1).

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.nn.AutoNCP(16, 4).motor
    4
    """
    _whole(units=units, outputs=outputs)
    if outputs >= units - 2:
        raise ValueError(f"outputs is {outputs} of {units} units; expected at most {units - 3}")
    if not 0.1 <= sparsity < 1:
        raise ValueError(f"sparsity is {sparsity}; expected it within [0.1, 1)")
    density = 1 - sparsity
    command = max(int(0.4 * (units - outputs)), 1)
    inter = units - outputs - command
    fan = max(int(command * density), 1)
    return NCP(
        inter, command, outputs, max(int(inter * density), 1), fan, max(int(2 * command * density), 1), fan, seed
    )


def draw(wiring: int | Wirer | LiquidWiring, inputs: int) -> LiquidWiring:
    """What was drawn, is drawn now, or, from a number of units, is fully connected."""
    if isinstance(wiring, int | np.integer):
        wiring = FullyConnected(int(wiring))
    if not isinstance(wiring, LiquidWiring):
        return wiring.draw(inputs)
    if wiring.inputs != inputs:
        raise ValueError(f"there is a wiring for {wiring.inputs} inputs; expected {inputs} as in in_features")
    return wiring


def _whole(**sizes: int) -> None:
    for name, size in sizes.items():
        if not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"{name} is {size!r}; expected a positive whole number")


__all__ = ["NCP", "AutoNCP", "FullyConnected", "LiquidSynapses", "LiquidWiring", "Wirer", "draw"]
