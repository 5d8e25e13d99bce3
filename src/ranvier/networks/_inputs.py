"""Inputs that change with time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranvier._checks import array, positive
from ranvier.equations import Parameter

#: the domains of delays and of background rates
DELAY = Parameter("ms", "one step of the simulation or more", above=0.0)
RATE = Parameter("Hz", "spikes per second", at_least=0.0)


@dataclass(frozen=True, eq=False)
class TimeSeries:
    """An input given at regular times: `values[k]` holds from k·interval until (k+1)·interval.

    `values`: (T,) for all neurons alike or (T, neurons), in the unit of what it is given for, such as mV of a drive or
    Hz of a rate; may require a gradient.
    `interval`: ms. After the last one, the last value holds on. Raises ValueError for other shapes, values that are
    not finite, and an interval that is not positive.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> drive = rv.TimeSeries(torch.tensor([0.0, 5.0]), interval=50.0)  # mV: 5 from 50 ms on
    >>> cells = net.add(rv.Graded(), 1, drive=drive)
    >>> V = rv.simulate(net, 100.0, dt=0.5, engine="torch", record="V").states["V"].values[:, 0]
    >>> bool(V[99] < -34.9), bool(V[-1] > -30.1)
    (True, True)
    """

    values: Any
    interval: float

    def __post_init__(self) -> None:
        import torch

        values = array(self.values, "values of a TimeSeries", "(T,) or (T, neurons)")
        if values.ndim not in (1, 2) or len(values) == 0:
            raise ValueError(
                f"A time series has values of shape {tuple(values.shape)}; expected (T,) or (T, neurons) "
                "with at least one time."
            )
        if not torch.isfinite(values.detach()).all():
            k = int((~torch.isfinite(values.detach())).reshape(len(values), -1).any(1).nonzero()[0, 0])
            raise ValueError(f"A time series is not finite at its row {k}; expected finite numbers.")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "interval", positive(self.interval, "interval", "ms"))

    @classmethod
    def read(cls, path: str | Path, interval: float, array: str | None = None) -> TimeSeries:
        """From a file, a row a time and a column a neuron: text (columns apart by commas, semicolons or white space; a
        heading and lines after # are passed over), .npy, or .npz, of which `array` names one array.

        Raises FileNotFoundError, and ValueError for anything else than finite numbers in rows of equal length.

        Examples
        --------
        >>> import ranvier as rv
        >>> with open("drive.csv", "w") as file:
        ...     _ = file.write("a,b\\n0,1\\n2,3\\n")
        ...
        >>> rv.TimeSeries.read("drive.csv", interval=10.0).values.tolist()
        [[0.0, 1.0], [2.0, 3.0]]
        """
        from ranvier.networks.readers.series import read_values

        return cls(read_values(path, array), interval)
