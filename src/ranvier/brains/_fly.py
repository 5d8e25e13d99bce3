"""The model of the adult fly's brain of Shiu et al. (2024) on a connectome, and what driving some neurons does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier._jobs import each
from ranvier._steps import window_of
from ranvier._text import plural
from ranvier.brains._connectomes import BrainWiring
from ranvier.files.atomic import write_json
from ranvier.files.reading import read_json

if TYPE_CHECKING:
    from ranvier.networks import Network

DT, DELAY = 0.1, 1.8  # ms
SYNAPSE, POISSON_SYNAPSES = 0.275, 250  # mV a synapse; synapses of a Poisson spike


def fly_network(
    brain: BrainWiring, driven: Sequence[int] | NDArray[Any], rate: float = 150.0, silenced: Iterable[int] = ()
) -> Network:
    """LIF neurons that hold and reset their synaptic input, one a neuron of the connectome.

    Parameters
    ----------
    driven
        places (`BrainWiring.places`) of the neurons that get Poisson spikes, each strong enough to make one spike;
        they have no refractoriness. These spikes take as long as all others, where Shiu et al. have no delay: the law
        is the same but for the first 1.8 ms, and spikes need to be exchanged a tenth as often
    rate
        of each of them, Hz
    silenced
        places of neurons whose synapses, incoming and outgoing, weigh nothing

    Raises
    ------
    ValueError
        for places that are not there.

    >>> brain = rv.brains.fly_wiring(neurons=100, connections=500)
    >>> rv.brains.fly_network(brain, driven=[0, 1]).size >= 100
    True
    """
    import torch

    import ranvier as rv

    n = len(brain.ids)
    driven, silent = require_places(n, driven, silenced)
    weight = brain.counts * SYNAPSE
    weight[silent[brain.sources] | silent[brain.targets]] = 0.0
    t_ref = torch.full((n,), 2.2, dtype=torch.float64)
    t_ref[torch.from_numpy(driven)] = DT
    net = rv.Network()
    cells = net.add(rv.neurons.SynapticLIF(), n, "brain", t_ref=t_ref)
    net.connect(
        cells, cells, weight=torch.from_numpy(weight), delay=DELAY, edges=(brain.sources, brain.targets),
        synapse=rv.synapses.Jump(onto="g"),
    )  # fmt: skip
    if len(driven):
        source = net.add(rv.Poisson(rate), len(driven), "drive")
        edges = np.arange(len(driven)), driven
        net.connect(source, cells, weight=SYNAPSE * POISSON_SYNAPSES, delay=DELAY, edges=edges)
    return net


def require_places(
    n: int, driven: Sequence[int] | NDArray[Any], silenced: Iterable[int]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The driven neurons' places, each once, and a mask (neurons,) of the silenced ones. Raises ValueError for places
    that are not there."""
    driven, chosen = np.unique(np.asarray(driven, np.int64)), np.asarray(list(silenced), np.int64)
    for what, places in (("driven", driven), ("silenced", chosen)):
        if len(places) and not 0 <= places.min() <= places.max() < n:
            raise ValueError(f"{what} reaches from {places.min()} to {places.max()}; expected places of {n} neurons")
    silent = np.zeros(n, bool)
    silent[chosen] = True
    return driven, silent


def dose_response(
    brain: BrainWiring,
    driven: Sequence[int] | NDArray[Any],
    rates: Sequence[float],
    folder: str | Path,
    *,
    silenced: Iterable[int] = (),
    duration: float = 1000.0,
    seed: int = 0,
    threads: int = 1,
    jobs: int | str = 1,
    say: Callable[[str], None] = lambda text: None,
) -> dict[float, dict[str, Any]]:
    """Drive neurons at several rates (Hz); rate -> `active`, `spikes`, `rates` of the neurons that spiked, `method`.

    Each rate's result is a file of `folder`; those that are there are not run again. `jobs` run at the same time, on
    this machine, or on the workers of a dask scheduler at that address, which see the same folder.
    Raises ValueError where a file is of another brain, choice of neurons, duration or seed.

    >>> brain = rv.brains.fly_wiring(neurons=100, connections=500)
    >>> doses = rv.brains.dose_response(brain, [0, 1], [0.0], "doses", duration=10.0)
    >>> doses[0.0]["active"]  # without drive
    0
    """
    folder, chosen = Path(folder), sorted(int(i) for i in silenced)
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(brain.sources.tobytes() + brain.targets.tobytes() + brain.counts.tobytes()).hexdigest()[:16]
    what = {"brain": digest, "driven": sorted(map(int, driven)), "silenced": chosen, "duration": duration, "seed": seed}

    items = [(brain, float(rate), folder, what | {"rate": float(rate)}, threads) for rate in rates]
    out = {}
    for rate, result, new in each(_dose, items, jobs, threads=True):
        out[rate] = result
        if new:
            say(f"{rate:g} Hz: {plural(result['active'], 'neuron')} active, {plural(result['spikes'], 'spike')}")
    return {float(rate): out[float(rate)] for rate in rates}


def _dose(
    brain: BrainWiring, rate: float, folder: Path, what: dict[str, Any], threads: int
) -> tuple[float, dict[str, Any], bool]:
    """One rate's result, and whether it was measured now."""
    path = folder / f"rate-{rate:g}.json"
    if path.is_file():
        known = read_json(path, "a dose")
        if not isinstance(known, dict) or known.get("what") != what:
            raise ValueError(f"{path} is of another brain, drive, duration or seed; expected this: another folder")
        return rate, known["result"], False
    net = fly_network(brain, what["driven"], rate, what["silenced"])
    result = _measure(net, len(brain.ids), what["duration"], what["seed"], threads)
    write_json(path, {"what": what, "result": result})
    return rate, result, True


def _measure(net: Network, neurons: int, duration: float, seed: int, threads: int) -> dict[str, Any]:
    import ranvier as rv

    recording = rv.simulate(net, duration, dt=DT, seed=seed, threads=threads)
    own = recording.neurons[recording.neurons < neurons].numpy()
    times = recording.times[recording.neurons < neurons].numpy()
    counts = np.bincount(own, minlength=neurons)
    active = np.flatnonzero(counts)
    course = np.bincount(np.clip(window_of(times, duration / 100), 0, 99), minlength=100)
    return {
        "active": len(active), "spikes": int(counts.sum()), "course": course.tolist(),
        "rates": {str(i): round(counts[i] * 1000 / duration, 3) for i in active.tolist()},
        "method": json.loads(json.dumps(recording.manifest.get("method"))), "timings": recording.manifest["timings"],
    }  # fmt: skip


__all__ = ["dose_response", "fly_network", "require_places"]
