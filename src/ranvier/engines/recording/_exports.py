"""Recordings in the formats of other tools; each tool is imported only when requested."""

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
    from ranvier.engines.recording.traces import StateTrace


def to_pandas(recording: Recording) -> pandas.DataFrame:
    """Columns time (ms), neuron, and, as categories, its name and population; one row a spike."""
    pandas = _tool("pandas")
    neurons = recording.neurons.numpy()
    codes, names = _populations(recording)
    own, places = np.unique(np.array(recording.names, object), return_inverse=True)
    return pandas.DataFrame(
        {
            "time": recording.times.numpy(),
            "neuron": neurons,
            "name": pandas.Categorical.from_codes(places[neurons], own),
            "population": pandas.Categorical.from_codes(codes[neurons], names),
        }
    )


def trace_to_pandas(trace: StateTrace) -> pandas.DataFrame:
    """A row a time (ms), a column a neuron."""
    pandas = _tool("pandas")
    index = pandas.Index(trace.times.numpy(), name="time")
    return pandas.DataFrame(trace.values.numpy(), index=index, columns=trace.neurons.numpy())


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
    """A block of one segment: a spike train for every neuron, annotated with neuron, name and population, and
    a signal for every state in its unit: sampled regularly where the times are evenly apart."""
    core, ms = _tool("neo.core"), _tool("quantities").ms
    codes, names = _populations(recording)
    begin, end = recording.start, recording.start + recording.duration
    block, segment = core.Block(), core.Segment()
    block.segments.append(segment)
    own = recording.names
    for neuron, times in enumerate(_trains(recording)):
        segment.spiketrains.append(
            core.SpikeTrain(
                times * ms,
                t_start=begin * ms,
                t_stop=end * ms,
                name=own[neuron],
                neuron=neuron,
                population=names[codes[neuron]],
            )
        )
    for name in recording.states:
        trace = recording.states[name]
        times, period = trace.times.numpy(), _period(trace.times.numpy())
        options = {"units": _neo_unit(_unit(recording, name, trace.neurons.numpy())), "name": name}
        if period is None:
            signal = core.IrregularlySampledSignal(times * ms, trace.values.numpy(), time_units="ms", **options)
            segment.irregularlysampledsignals.append(signal)
        else:
            signal = core.AnalogSignal(
                trace.values.numpy(), t_start=times[0] * ms, sampling_period=period * ms, **options
            )
            segment.analogsignals.append(signal)
        signal.annotate(neurons=trace.neurons.tolist(), names=[own[k] for k in trace.neurons.tolist()])
    return block


def to_pynapple(recording: Recording, state: str | None = None) -> pynapple.TsGroup | pynapple.TsdFrame:
    """Spikes as a TsGroup with metadata `population` and `name`, or one state as a TsdFrame with a column a neuron.

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
        metadata={"population": np.array(names)[codes], "name": np.array(recording.names)},
    )


def to_nwb(recording: Recording, path: str | Path, *, description: str) -> Path:
    """Write an NWB file: a unit for every neuron with its name and population, a TimeSeries for every state, whose
    columns are described by these names."""
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
    own = recording.names
    file.add_unit_column("neuron_name", "name of the neuron")
    file.add_unit_column("population", "population of the neuron")
    interval = [recording.start / 1000.0, (recording.start + recording.duration) / 1000.0]
    for neuron, times in enumerate(_trains(recording)):
        file.add_unit(
            id=neuron,
            spike_times=times / 1000.0,
            obs_intervals=[interval],
            neuron_name=own[neuron],
            population=names[codes[neuron]],
        )
    for name in recording.states:
        trace = recording.states[name]
        neurons = ", ".join(own[k] for k in trace.neurons.tolist())
        file.add_acquisition(
            pynwb.TimeSeries(
                name=name,
                data=trace.values.numpy(),
                description=f"columns are neurons {neurons}",
                **_nwb_unit(_unit(recording, name, trace.neurons.numpy())),
                **_nwb_times(trace.times.numpy()),
            )
        )
    with atomic_path(path, suffix=".nwb") as temporary, pynwb.NWBHDF5IO(str(temporary), "w") as io:
        io.write(file)
    return path


def _unit(recording: Recording, name: str, neurons: NDArray[np.int64]) -> str:
    """A state's unit, of the equations of the neurons' populations; "" where it has none or they differ.

    Without the network: V is in mV, as everywhere.
    """
    populations = getattr(recording.network, "populations", ())
    units = set()
    for population in populations:
        if ((neurons >= population.start) & (neurons < population.start + population.size)).any():
            states = getattr(getattr(getattr(population, "neuron", None), "equations", None), "states", ())
            units |= {state.unit for state in states if state.name == name}
    if len(units) == 1:
        return str(units.pop())
    return "mV" if name == "V" and not units else ""


def _period(times: NDArray[np.float64]) -> float | None:
    """The time from sample to sample, ms; None where they are not evenly apart, or one."""
    if len(times) < 2:
        return None
    period = float(times[-1] - times[0]) / (len(times) - 1)
    even = times[0] + period * np.arange(len(times))
    return period if np.abs(times - even).max() <= 1e-6 * period else None


def _neo_unit(unit: str) -> Any:
    """As quantities has it; without one where it does not know it."""
    quantities = _tool("quantities")
    try:
        return quantities.Quantity(1.0, unit or "dimensionless").units
    except (LookupError, SyntaxError, ValueError):
        return quantities.dimensionless


def _nwb_unit(unit: str) -> dict[str, Any]:
    """NWB wants SI units, and a factor that leads from the data to them."""
    known = {"mV": ("volts", 1e-3), "pA": ("amperes", 1e-12), "nS": ("siemens", 1e-9), "ms": ("seconds", 1e-3)}
    name, factor = known.get(unit, (unit or "unknown", 1.0))
    return {"unit": name, "conversion": factor}


def _nwb_times(times: NDArray[np.float64]) -> dict[str, Any]:
    period = _period(times)
    if period is None:
        return {"timestamps": times / 1000.0}
    return {"starting_time": float(times[0]) / 1000.0, "rate": 1000.0 / period}


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
