"""Recordings in the formats of other tools; each tool is imported only when asked for."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier.files.atomic import atomic_path

if TYPE_CHECKING:
    import neo
    import pandas
    import pynapple
    import xarray

    from ranvier.engines.recording.recording import Recording


def to_pandas(recording: Recording) -> pandas.DataFrame:
    """Columns time (ms), neuron, and population as a category; one row a spike."""
    pandas = _tool("pandas")
    neurons = recording.neurons.numpy()
    codes, names = _populations(recording)
    return pandas.DataFrame(
        {
            "time": recording.times.numpy(),
            "neuron": neurons,
            "population": pandas.Categorical.from_codes(codes[neurons], names),
        }
    )


def to_xarray(recording: Recording) -> xarray.Dataset:
    """One variable a state, over `time` (ms) and `neuron`; a state that was recorded at other times or of
    other neurons than the first has its own dimensions, `time_NAME` and `neuron_NAME`."""
    xarray = _tool("xarray")
    axes: dict[str, NDArray[Any]] = {}
    variables = {}
    for name in recording.states:
        trace = recording.states[name]
        dims = []
        for dim, values in (("time", trace.times.numpy()), ("neuron", trace.neurons.numpy())):
            dim = dim if np.array_equal(axes.setdefault(dim, values), values) else f"{dim}_{name}"
            axes[dim] = values
            dims.append(dim)
        variables[name] = (dims, trace.values.numpy())
    coords = {
        dim: (dim, values, {"units": "ms"} if dim.startswith("time") else {}) for dim, values in axes.items()
    }
    return xarray.Dataset(
        variables, coords=coords, attrs={"dt": recording.dt, "duration": recording.duration}
    )


def to_neo(recording: Recording) -> neo.Block:
    """A block of one segment: a spike train for every neuron, annotated with neuron and population, and
    an irregularly sampled signal for every state, without unit."""
    core, ms = _tool("neo.core"), _tool("quantities").ms
    codes, names = _populations(recording)
    begin, end = recording.start, recording.start + recording.duration
    block, segment = core.Block(), core.Segment()
    block.segments.append(segment)
    for neuron, times in enumerate(_trains(recording)):
        segment.spiketrains.append(
            core.SpikeTrain(
                times * ms,
                t_start=begin * ms,
                t_stop=end * ms,
                neuron=neuron,
                population=names[codes[neuron]],
            )
        )
    for name in recording.states:
        trace = recording.states[name]
        signal = core.IrregularlySampledSignal(
            trace.times.numpy() * ms, trace.values.numpy(), units="dimensionless", time_units="ms", name=name
        )
        signal.annotate(neurons=trace.neurons.tolist())
        segment.irregularlysampledsignals.append(signal)
    return block


def to_pynapple(recording: Recording, state: str | None = None) -> pynapple.TsGroup | pynapple.TsdFrame:
    """Spikes as a TsGroup with metadata `population`, or one state as a TsdFrame with a column a neuron.

    Times are in seconds, as everywhere in Pynapple.
    """
    nap = _tool("pynapple")
    if state is not None:
        trace = recording.states[state]
        return nap.TsdFrame(
            t=trace.times.numpy() / 1000.0, d=trace.values.numpy(), columns=trace.neurons.numpy()
        )
    codes, names = _populations(recording)
    support = nap.IntervalSet(recording.start / 1000.0, (recording.start + recording.duration) / 1000.0)
    return nap.TsGroup(
        {neuron: nap.Ts(t=times / 1000.0) for neuron, times in enumerate(_trains(recording))},
        time_support=support,
        metadata={"population": np.array(names)[codes]},
    )


def to_nwb(recording: Recording, path: str | Path, *, description: str) -> Path:
    """Write an NWB file: a unit for every neuron with its population, a TimeSeries for every state."""
    pynwb = _tool("pynwb")
    from datetime import UTC, datetime
    from uuid import uuid4

    path = Path(path)
    codes, names = _populations(recording)
    written = recording.manifest.get("written")
    file = pynwb.NWBFile(
        session_description=description,
        identifier=str(uuid4()),
        session_start_time=datetime.fromisoformat(written) if written else datetime.now(UTC),
        source_script="ranvier",
        source_script_file_name="ranvier",
    )
    file.add_unit_column("population", "population of the neuron")
    interval = [recording.start / 1000.0, (recording.start + recording.duration) / 1000.0]
    for neuron, times in enumerate(_trains(recording)):
        file.add_unit(
            id=neuron,
            spike_times=times / 1000.0,
            obs_intervals=[interval],
            population=names[codes[neuron]],
        )
    for name in recording.states:
        trace = recording.states[name]
        neurons = ", ".join(map(str, trace.neurons.tolist()))
        file.add_acquisition(
            pynwb.TimeSeries(
                name=name,
                data=trace.values.numpy(),
                unit="unknown",
                timestamps=trace.times.numpy() / 1000.0,
                description=f"columns are neurons {neurons}",
            )
        )
    with atomic_path(path, suffix=".nwb") as temporary, pynwb.NWBHDF5IO(str(temporary), "w") as io:
        io.write(file)
    return path


def _tool(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(
            f'{package} is not installed; expected it for this export: pip install "ranvier[brain]"'
        ) from error


def _trains(recording: Recording) -> list[NDArray[np.float64]]:
    """Spike times in ms of each neuron."""
    neurons = recording.neurons.numpy()
    order = np.argsort(neurons, kind="stable")
    borders = np.searchsorted(neurons[order], np.arange(1, recording.n_neurons))
    return np.split(recording.times.numpy()[order], borders)


def _populations(recording: Recording) -> tuple[NDArray[np.int64], list[str]]:
    """Each neuron's population as a code, and the populations' names."""
    groups = recording.populations
    codes = np.zeros(recording.n_neurons, dtype=np.int64)
    for code, group in enumerate(groups):
        codes[group.start : group.start + group.size] = code
    return codes, [group.name for group in groups]
