"""Assignments in the language of equations, made at regular times of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from ranvier._names import identifier
from ranvier.equations import parse
from ranvier.equations.printing import torch_function
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
        `"theta = 0.9*theta; V = V - 2"`: names are variables, parameters and the time `t` (ms); all right-hand sides
        are of the values before, as in a neuron's reset.

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
        self._new: dict[str, Any] = {}
        for part in filter(None, (each.strip() for each in str(text).split(";"))):
            name, sign, right = (each.strip() for each in part.partition("="))
            if not (sign and right) or right.startswith("="):
                raise ValueError(f"the assignment is {part!r}; expected 'name = expression'")
            if identifier(name, "what is assigned to") in self._new:
                raise ValueError(f"the assignments set {name!r} twice; expected one a name")
            self._new[name] = parse(right)
        if not self._new:
            raise ValueError(f"the assignments are {text!r}; expected 'name = expression', several divided by ';'")
        self._evaluate = torch_function(self._new)

    def __call__(self, simulation: Simulation, recording: Any = None) -> None:
        """Make the assignments now."""
        values = simulation.get(self.target)
        known = {name: value for name, value in values.items() if not isinstance(value, TimeSeries)}
        known["t"] = torch.tensor(simulation.time, dtype=torch.float64)
        missing = {s.name for e in self._new.values() for s in e.free_symbols} - known.keys()
        if missing:
            raise ValueError(
                f"the assignments {self.text!r} use {', '.join(sorted(missing))}; expected variables, constant "
                f"parameters and t: {', '.join(known)}"
            )
        simulation.set(self.target, **self._evaluate(**known))

    def __repr__(self) -> str:
        return f"Assignments({self.target!r}, {self.text!r})"


__all__ = ["Assignments"]
