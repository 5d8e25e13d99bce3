"""A simulation that is run piece by piece, in memory or in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ranvier._locks import folder_lock
from ranvier._progress import Progress
from ranvier.engines._prepare import Record, duration_steps, prepare
from ranvier.engines._run import in_memory, into_folder, open_folder
from ranvier.engines.protocol import Modulators
from ranvier.engines.recording.recording import Recording
from ranvier.engines.recording.segments import RunFolder
from ranvier.engines.recording.weights import Weights
from ranvier.networks import Network, Projection
from ranvier.networks.changes import require_unchanged, snapshot


class Simulation:
    """A network made ready to run: `run` goes on from where the last one ended, as if it had not been cut.

    The arguments are those of `simulate`. With `path` the run lies in that folder, as `simulate` writes it; one that is
    there already is continued. The folder is this object's until `close`, or the end of a `with` block.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 3, drive=20.0)
    >>> simulation = rv.Simulation(net)
    >>> first, second = simulation.run(50.0), simulation.run(50.0)
    >>> second.start, simulation.time
    (50.0, 100.0)
    """

    def __init__(
        self,
        net: Network,
        *,
        dt: float = 0.1,
        seed: int = 0,
        engine: str = "compiled",
        threads: int = 1,
        record: Record = (),
        path: str | Path | None = None,
        dtype: torch.dtype = torch.float32,
        modulators: Modulators | None = None,
    ) -> None:
        self.net, self._network = net, snapshot(net)
        self._folder: RunFolder | None = None
        lock = None if path is None else folder_lock(path, "simulation")
        try:
            self._prepared = prepare(
                net, dt=dt, seed=seed, engine=engine, threads=threads, record=record, dtype=dtype, modulators=modulators
            )
            if lock is not None:
                self._folder = open_folder(self._prepared, lock, RunFolder.stored_duration(lock.path))
        except BaseException:
            if lock is not None:
                lock.release()
            raise

    @property
    def time(self) -> float:
        """How far it has come, ms."""
        return self._prepared.engine.step * self._prepared.engine.options.dt

    def run(self, duration: float, *, modulators: Modulators | None = None, progress: bool = False) -> Recording:
        """Go on for `duration` ms and return what was recorded: `start` is its beginning, on the simulation's clock.

        `modulators` replaces modulators from here on; a `TimeSeries` in it begins here. Raises ValueError for a
        duration that is no whole number of steps, for a network that was changed since the Simulation was made, and
        for modulators where the run lies in a folder.
        """
        engine = self._prepared.engine
        require_unchanged(self.net, self._network)
        self._require_memory(modulators, "modulators=")
        for p, source in (modulators or {}).items():
            engine.set_modulator(p, source)
        dt, start = engine.options.dt, self.time
        last = engine.step + duration_steps(duration, dt)
        total = duration if self._folder is None else last * dt
        with Progress("simulating", total / 1000, unit="s", digits=1, show=progress) as bar:
            if self._folder is None:
                return in_memory(self._prepared, last, self._prepared.manifest | {"duration": duration}, bar)
            self._folder.extend(last)
            into_folder(self._prepared, self._folder, last, bar)
        recording = Recording.open(self._folder.path, network=self.net)
        return recording.after(start) if start else recording

    @property
    def weights(self) -> Weights:
        """The plastic projections' weights now."""
        return Weights(self._prepared.engine.weights(), {})

    def set_weights(self, projection: Projection, weights: Any) -> None:
        """Replace a plastic projection's weights, (edges,) in the order of `edges()`; its traces stay.

        Raises ValueError for another number of weights, for some that are not finite or out of the rule's bounds, and
        where the run lies in a folder.
        """
        self._require_memory(True, "set_weights")
        values = np.asarray(weights.detach() if hasattr(weights, "detach") else weights, np.float64).reshape(-1)
        if projection.plasticity is None or not any(projection is p for p in self.net.projections):
            raise ValueError(f"the projection is {projection!r:.80}; expected a plastic one of this network")
        if len(values) != projection.size:
            raise ValueError(f"there are {len(values)} weights; expected {projection.size}: one an edge")
        low, high = projection.plasticity.bounds
        slack = 1e-6 * max((abs(x) for x in (low, high) if np.isfinite(x)), default=0.0)
        least, most = (values.min(), values.max()) if len(values) else (low, high)
        if not (np.isfinite(values).all() and low - slack <= least and most <= high + slack):
            raise ValueError(f"weights are from {least:g} to {most:g}; expected finite ones from {low:g} to {high:g}")
        self._prepared.engine.set_weights(projection.index, np.clip(values, low, high))

    def close(self) -> None:
        """Let others write to the folder, if there is one."""
        if self._folder is not None:
            self._folder.close()

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require_memory(self, intervention: Any, what: str) -> None:
        if self._folder is not None and intervention:
            raise ValueError(
                f"{what} is used in {self._folder.path}, where a run is a function of network and seed; expected no "
                "intervention: use a Simulation without path"
            )


__all__ = ["Simulation"]
