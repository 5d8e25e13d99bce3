"""`Recording`: what a simulation gives back, in memory or on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier import analysis
from ranvier._html import paragraph, table
from ranvier._text import plural
from ranvier.analysis import SpikeQuestions, Spikes
from ranvier.engines.recording import _exports as exports
from ranvier.engines.recording._weights_files import stored_weights, write_weights
from ranvier.engines.recording.segments import RunFolder
from ranvier.engines.recording.traces import LaterTraces, StateTrace, StoredTraces, tensor
from ranvier.engines.recording.weights import NONE, Weights
from ranvier.files.atomic import atomic_folder
from ranvier.networks.groups import Group, groups_of, names_of, resolve

if TYPE_CHECKING:
    import neo
    import pandas
    import pynapple
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

SAVED_STEPS = 100_000  # steps in one segment of a saved recording


class Recording(SpikeQuestions):
    """Spikes and state variables of one run of a network.

    Parameters
    ----------
    spike_steps, spike_neurons
        int64 steps s, the spike's time being s·dt, 0 < s ≤ duration/dt, and int32 global indices,
        sorted by step, then neuron
    n_neurons, dt, duration
        size of the network, step and length of the run in ms
    states
        name -> `StateTrace`
    network
        the description it was made from, if known
    manifest
        what was run and with what software

    Every question takes `neurons=`: a population, a population's name, global indices, or a list of
    populations; by default all. Answers are float64 tensors. With `return_error=True`, rates,
    covariance, correlation and cross-correlation come with their standard errors, from `blocks` (20)
    consecutive blocks of the run.

    Raises ValueError for spikes that are unsorted or out of range.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.SpikeTimes([1.0, 2.0, 3.0], [0, 1, 0]), 2)
    >>> recording = rv.simulate(net, 1000.0, dt=1.0, engine="torch")
    >>> recording.rates().tolist()  # Hz
    [2.0, 1.0]
    >>> recording.after(2.0).n_spikes
    1
    """

    def __init__(
        self,
        spike_steps: ArrayLike,
        spike_neurons: ArrayLike,
        *,
        n_neurons: int,
        dt: float,
        duration: float,
        states: Mapping[str, StateTrace] | None = None,
        network: Any = None,
        manifest: Mapping[str, Any] | None = None,
    ) -> None:
        spikes = Spikes.from_steps(spike_steps, spike_neurons, n_neurons=n_neurons, dt=dt, stop=round(duration / dt))
        self._set(spikes, states or {}, network, manifest or {})

    def _set(
        self,
        spikes: Spikes,
        states: Mapping[str, StateTrace],
        network: Any,
        manifest: Mapping[str, Any],
        weights: Weights = NONE,
    ) -> None:
        self._spikes = spikes
        #: plastic projections' final weights, (edges,), and what a `WeightProbe` recorded of them
        self.weights = weights
        self.states = states
        self.network = network
        self.manifest = dict(manifest)
        self._rates: NDArray[np.float64] | None = None

    @classmethod
    def _of(cls, *args: Any) -> Recording:
        recording = cls.__new__(cls)
        recording._set(*args)
        return recording

    # What was recorded

    @property
    def n_neurons(self) -> int:
        """N, over all populations, sources of spikes included."""
        return self._spikes.n_neurons

    @property
    def dt(self) -> float:
        """Step in ms."""
        return self._spikes.dt

    @property
    def start(self) -> float:
        """Time in ms from which on spikes are kept; 0 unless the recording was cut."""
        return self._spikes.start * self.dt

    @property
    def duration(self) -> float:
        """Length in ms of what is kept, from `start` on."""
        return self._spikes.duration

    @property
    def n_spikes(self) -> int:
        """Of all neurons, over the whole recording."""
        return round(float(self._all_rates().sum()) * self.duration / 1000.0)

    @property
    def times(self) -> Tensor:
        """Spike times in ms, (spikes,), sorted; read from disk on each access where the run lies there."""
        return tensor((self._events()[0] + 1 + self._spikes.start) * self.dt)

    @property
    def neurons(self) -> Tensor:
        """Global index of each spike's neuron, int64 (spikes,), in the order of `times`."""
        return tensor(self._events()[1].astype(np.int64), None)

    @property
    def populations(self) -> tuple[Group, ...]:
        """Name, start and size of the populations, as far as network or manifest tell them."""
        return groups_of(self.network, self.manifest, self.n_neurons)

    @property
    def names(self) -> list[str]:
        """Every neuron's name, (N,): its own, else its population's and its index there, as `Network.names`."""
        return names_of(self.populations)

    @property
    def spikes(self) -> Spikes:
        """The spikes as the functions of `ranvier.analysis` take them, e.g. to pool groups of neurons."""
        return self._spikes

    def _events(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        return next(self._spikes.cut([0, self._spikes.n_steps]))

    def _all_rates(self) -> NDArray[np.float64]:
        if self._rates is None:
            self._rates = np.asarray(analysis.rates(self._spikes))
        return self._rates

    def _selected(self, neurons: Any) -> Spikes:
        if neurons is None:
            return self._spikes
        return self._spikes.select(resolve(neurons, self.populations, self.n_neurons))

    def after(self, t: float) -> Recording:
        """What happened later than `t` ms, on the same clock: times do not change, `start` becomes t."""
        if not self.start <= t < self.start + self.duration:
            raise ValueError(f"cut at {t} ms; expected {self.start:g} ≤ t < {self.start + self.duration:g}")
        step = round(t / self.dt)
        states = LaterTraces(self.states, (step + 0.5) * self.dt)
        return Recording._of(self._spikes.after(step), states, self.network, self.manifest, self.weights)

    # Statistics

    def rates(self, *, neurons: Any = None, return_error: bool = False, blocks: int = 20) -> Any:
        """Mean rates in Hz, (N,)."""
        if neurons is None and not return_error:
            return tensor(self._all_rates().copy())
        return super().rates(neurons=neurons, return_error=return_error, blocks=blocks)

    # Files

    def save(self, path: str | Path) -> Path:
        """Write the recording as a folder that `Recording.open` reads; it appears whole or not at all.

        Raises FileExistsError where `path` is taken.
        """
        with atomic_folder(path) as folder:
            self._write(folder)
        return Path(path)

    def _write(self, folder: Path) -> None:
        spikes, origin = self._spikes, self._spikes.start
        entries = {
            "populations": [g.described() for g in self.populations],
            **self.manifest,
            "n_neurons": self.n_neurons,
            "dt": self.dt,
            "duration": self.duration,
            "first_step": origin,
        }
        traces = {
            name: (np.round(trace.times.numpy() / self.dt).astype(np.int64), trace)
            for name, trace in self.states.items()
        }
        run = RunFolder.create_or_resume(
            folder, entries, trace_neurons={name: t.neurons.numpy() for name, (_, t) in traces.items()}
        )
        edges = [*range(0, spikes.n_steps, SAVED_STEPS), spikes.n_steps]
        for end, (steps, neurons) in zip(edges[1:], spikes.cut(edges), strict=True):
            first, last = run.completed_steps, origin + end
            # A trace may begin at the very start, before the first step.
            first = first - 1 if first == origin else first
            pieces = {
                name: (at[(first < at) & (at <= last)], trace.values.numpy()[(first < at) & (at <= last)])
                for name, (at, trace) in traces.items()
            }
            run.append(last, steps + 1 + origin, neurons, pieces)
        run.close()
        write_weights(folder, self.weights)

    @classmethod
    def open(cls, path: str | Path, *, network: Any = None) -> Recording:
        """A recording on disk, of `save` or of `simulate(..., path=...)`, finished or not.

        Statistics read it segment by segment, so that memory does not grow with its length.
        Raises FileNotFoundError where there is none, ValueError where it is damaged or still empty.
        """
        run = RunFolder.read(path)
        if not run.segments:
            raise ValueError(f"{path} holds no whole segment yet; expected a run that has gone on for longer")
        return cls._of(run.spikes(), StoredTraces(run), network, run.manifest, stored_weights(run, network))

    # Other tools' formats

    def to_numpy(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Spike times in ms and neurons' global indices, (n_spikes,) each, in order of time."""
        return self.times.numpy(), self.neurons.numpy()

    def to_pandas(self) -> pandas.DataFrame:
        """Columns time (ms), neuron, its name, population; one row a spike."""
        return exports.to_pandas(self)

    def to_xarray(self) -> xarray.Dataset:
        """One variable a state, over `time` (ms) and `neuron`; a state recorded at other times, or of other
        neurons, than the first has its own dimensions, `time_NAME` and `neuron_NAME`."""
        return exports.to_xarray(self)

    def to_neo(self) -> neo.Block:
        """A block of one segment: spike trains (ms) with neuron, name and population, states as signals."""
        return exports.to_neo(self)

    def to_pynapple(self, state: str | None = None) -> pynapple.TsGroup | pynapple.TsdFrame:
        """Spikes as a TsGroup with `population` and `name`, or one state as a TsdFrame; in s, as Pynapple has it."""
        return exports.to_pynapple(self, state)

    def to_nwb(self, path: str | Path, *, description: str = "a simulation with Ranvier") -> Path:
        """Write an NWB file: a unit for every neuron with its name and population, a TimeSeries for every state.

        A file that is there is replaced, whole or not at all. Raises ValueError where `path` names no file.
        """
        return exports.to_nwb(self, path, description=description)

    # Looks

    def raster(
        self,
        *,
        neurons: Any = None,
        between: tuple[float, float] | None = None,
        ax: Axes | None = None,
        size: float = 1.0,
    ) -> Figure:
        """Spikes as dots, time in ms against neuron, one colour a population; returns the figure.

        `between` = (from, to) in ms shows a part; `ax` is drawn into if given; `size` is the dots' in points.
        """
        from ranvier.engines.recording._raster import raster

        return raster(self, neurons, between, ax, size)

    def __repr__(self) -> str:
        parts = [f"{self.duration / 1000.0:g} s", plural(self.n_neurons, "neuron"), plural(self.n_spikes, "spike")]
        parts += [f"{g.name} {g.size} at {rate:.3g} Hz" for g, rate in self._group_rates()]
        parts += [f"states {', '.join(self.states)}"] if self.states else []
        return f"Recording({'; '.join(parts)})"

    def _repr_html_(self) -> str:
        states = f", states {', '.join(self.states)}" if self.states else ""
        size, spikes = plural(self.n_neurons, "neuron"), plural(self.n_spikes, "spike")
        words = f"of {self.duration / 1000.0:g} s: {size}, {spikes}{states}"
        rows = [(g.name, g.size, f"{rate:.3g}") for g, rate in self._group_rates()]
        return paragraph("Recording", words) + table(("population", "neurons", "rate (Hz)"), rows)

    def _group_rates(self) -> list[tuple[Group, float]]:
        rates = self._all_rates()
        return [(g, float(rates[g.start : g.start + g.size].mean())) for g in self.populations if g.size]
