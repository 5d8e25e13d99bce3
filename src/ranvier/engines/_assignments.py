"""Assignments in the language of equations, made at regular times of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ranvier.equations.printing import torch_function
from ranvier.equations.statements import statements
from ranvier.networks import Population, TimeSeries

if TYPE_CHECKING:
    from ranvier.engines._session import Simulation


class Assignments:
    """What `Simulation.run(call=)` may call: new values of a population's variables and parameters, from the old ones.

    Parameters
    ----------
    target
        The population, or its name.
    text
        `"theta *= 0.9; V = V + randn()"`: names are variables, parameters and the time `t` (ms); statements are made
        one after the other, as in a neuron's reset. Random numbers are a function of seed, population and time.

    Raises
    ------
    ValueError
        for a text that is none, here; for a name that the population lacks, when it is called.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 2, drive=16.0)
    >>> simulation = rv.Simulation(net)
    >>> _ = simulation.run(40.0, call=rv.engines.Assignments(cells, "drive = drive + 1"), every=10.0)
    >>> simulation.get(cells, "drive").tolist()
    [20.0, 20.0]
    """

    def __init__(self, target: Population | str, text: str) -> None:
        self.target, self.text = target, text
        if not statements(str(text), None, "the assignment", []):
            raise ValueError(f"the assignments are {text!r}; expected 'name = expression', several divided by ';'")

    def __call__(self, simulation: Simulation, recording: Any = None) -> None:
        """Make the assignments now."""
        values = simulation.get(self.target)
        known = {name: value for name, value in values.items() if not isinstance(value, TimeSeries)}
        draws: list[str] = []
        new = statements(self.text, known, f"the assignments {self.text!r}", draws)
        known["t"] = torch.tensor(simulation.time, dtype=torch.float64)
        known |= self._drawn(draws, simulation)
        missing = {s.name for e in new.values() for s in e.free_symbols} - known.keys()
        if missing:
            raise ValueError(
                f"the assignments {self.text!r} use {', '.join(sorted(missing))}; expected variables, constant "
                f"parameters and t: {', '.join(known)}"
            )
        simulation.set(self.target, **torch_function(new)(**known))

    def _drawn(self, names: list[str], simulation: Simulation) -> dict[str, torch.Tensor]:
        """Random numbers (neurons,) by name: the same for a seed, a population and a time, in every engine."""
        target = simulation.net[self.target] if isinstance(self.target, str) else self.target
        key = np.random.SeedSequence([simulation.seed, target.index, simulation.step, 0xA551])
        rng = np.random.Generator(np.random.Philox(key))
        normal = (name.startswith("randn") for name in names)
        drawn = (rng.standard_normal(target.size) if each else rng.random(target.size) for each in normal)
        return {name: torch.from_numpy(values) for name, values in zip(names, drawn, strict=True)}

    def __repr__(self) -> str:
        return f"Assignments({self.target!r}, {self.text!r})"


__all__ = ["Assignments"]
