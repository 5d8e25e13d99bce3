"""State variables over time: in memory, on disk, and cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier._html import MOST, paragraph, table
from ranvier._text import plural
from ranvier.engines.recording import _exports
from ranvier.engines.recording.segments import RunFolder
from ranvier.engines.recording.weights import PREFIX

if TYPE_CHECKING:
    import pandas
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class StateTrace:
    """A state variable over time: `times` (T,) in ms, `neurons` (n,) global indices, `values` (T, n).

    Raises ValueError for values of another shape.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 2)
    >>> trace = rv.simulate(net, 1.0, engine="torch", record="V").states["V"]
    >>> trace.times.shape, trace.values.shape
    (torch.Size([10]), torch.Size([10, 2]))
    """

    times: Tensor
    neurons: Tensor
    values: Tensor

    def __post_init__(self) -> None:
        import torch

        object.__setattr__(self, "times", torch.as_tensor(self.times, dtype=torch.float64))
        object.__setattr__(self, "neurons", torch.as_tensor(self.neurons, dtype=torch.int64))
        object.__setattr__(self, "values", torch.as_tensor(self.values))
        if self.values.shape != (len(self.times), len(self.neurons)):
            raise ValueError(
                f"values of shape {tuple(self.values.shape)} for {len(self.times)} times and "
                f"{len(self.neurons)} neurons; expected {(len(self.times), len(self.neurons))}"
            )

    def __repr__(self) -> str:
        return f"StateTrace({plural(len(self.times), 'time')}, {plural(len(self.neurons), 'neuron')})"

    def _repr_html_(self) -> str:
        ends = f", {float(self.times[0]):g} to {float(self.times[-1]):g} ms" if len(self.times) else ""
        words = f"of {plural(len(self.neurons), 'neuron')} at {plural(len(self.times), 'time')}{ends}"
        if not len(self.times):
            return paragraph("StateTrace", words)
        values = self.values[:, :MOST].double()
        columns = values.mean(0), values.std(0, correction=0), values.amin(0), values.amax(0)
        rows = zip(self.neurons.tolist(), *(column.tolist() for column in columns))
        return paragraph("StateTrace", words) + table(
            ("neuron", "mean", "SD", "least", "most"), rows, total=len(self.neurons)
        )

    def to_pandas(self) -> pandas.DataFrame:
        """A row a time (ms), a column a neuron. Raises ImportError without pandas."""
        return _exports.trace_to_pandas(self)


class StoredTraces(Mapping[str, StateTrace]):
    """The traces of a run on disk, each read when requested."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run

    def __getitem__(self, name: str) -> StateTrace:
        steps, neurons, values = self._run.trace(name)
        return StateTrace(tensor(steps * self._run.dt), tensor(neurons, None), tensor(values, None))

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._run.trace_neurons if not name.startswith(PREFIX))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class LaterTraces(Mapping[str, StateTrace]):
    """Traces without what lies before a time."""

    def __init__(self, states: Mapping[str, StateTrace], start: float) -> None:
        self._states, self._start = states, start

    def __getitem__(self, name: str) -> StateTrace:
        trace = self._states[name]
        later = trace.times > self._start
        return StateTrace(trace.times[later], trace.neurons, trace.values[later])

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)


def tensor(array: NDArray[Any], dtype: Any = np.float64) -> Tensor:
    """Of the same shape; its own type where `dtype` is None."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(array if dtype is None else array.astype(dtype, copy=False)))
