"""A simulation under the user's hand: run piece by piece, read and set in between, in memory or in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import torch

from ranvier._progress import Progress
from ranvier._steps import whole_steps
from ranvier.engines._prepare import Prepared, Record, duration_steps, prepare
from ranvier.engines._run import advance_to, into_folder, open_folder, recording_of
from ranvier.engines._values import StoredState, divide, learned, put, read
from ranvier.engines.protocol import Modulators
from ranvier.engines.recording.recording import Recording
from ranvier.engines.recording.segments import RunFolder
from ranvier.engines.recording.weights import Weights
from ranvier.files.locks import folder_lock
from ranvier.networks import Background, Network, Population, Projection, TimeSeries
from ranvier.networks.changes import require_unchanged, snapshot
from ranvier.networks.settings import every_setting, resolve

#: What `Simulation.run(call=)` takes: a function of the simulation and of what was recorded since the last call.
Call = Callable[["Simulation", Recording], Any]


class Simulation:
    """A network made ready to run: `run` goes on from where the last one ended, as if it had not been cut.

    The arguments are those of `simulate`. With `path` the run lies in that folder, as `simulate` writes it; one that is
    there already is continued. The folder is this object's until `close`, or the end of a `with` block.

    In memory, `get` and `set` read and change variables, parameters and weights between two runs; `run(call=, every=)`
    does so at regular times within one; `store`, `restore` and `reset` go back.

    Examples
    --------
    >>> import ranvier as rv
    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 3, drive=20.0)
    >>> simulation = rv.Simulation(net)
    >>> first = simulation.run(50.0)
    >>> simulation.set(cells, V=-60.0, drive=0.0)
    >>> second = simulation.run(50.0)
    >>> second.start, simulation.time, second.n_spikes
    (50.0, 100.0, 0)
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
        threshold: str = "step",
    ) -> None:
        self.net = net
        self._folder: RunFolder | None = None
        self._modulators: dict[Projection, tuple[TimeSeries | Population, int]] = {}
        self._running = self._stopped = False
        lock = None if path is None else folder_lock(path, "simulation")

        def prepared() -> Prepared:
            return prepare(
                net, dt=dt, seed=seed, engine=engine, threads=threads, record=record, dtype=dtype,
                modulators=modulators, threshold=threshold,
            )  # fmt: skip

        try:
            self._prepare = prepared
            self._prepared, self._network = prepared(), snapshot(net)
            if lock is not None:
                self._folder = open_folder(self._prepared, lock, RunFolder.stored_duration(lock.path))
        except BaseException:
            if lock is not None:
                lock.release()
            raise

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Simulation holds its engine's memory and perhaps a folder; expected it to stay in its process and "
            "uncopied: `store()` and `restore()` take and set its state, and the network it is made of can be sent "
            "to another process"
        )

    @property
    def time(self) -> float:
        """How far it has come, ms."""
        return self.step * self._prepared.engine.options.dt

    @property
    def step(self) -> int:
        """How many steps it has made."""
        return self._prepared.engine.step

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self._prepared.engine.options.seed

    def run(
        self,
        duration: float,
        *,
        modulators: Modulators | None = None,
        call: Call | None = None,
        every: float | None = None,
        progress: bool = False,
    ) -> Recording:
        """Go on for `duration` ms and return what was recorded: `start` is its beginning, on the simulation's clock.

        `modulators` replaces modulators from here on; a `TimeSeries` in it begins here. `call(simulation, recording)`
        is called every `every` ms and at the end, with what was recorded since the last call: it may read, `set` and
        `stop`. Raises ValueError for a duration or interval that is no whole number of steps, for a network that was
        changed since the Simulation was made, but by its own `set`, and for modulators and calls where the run lies in
        a folder.
        """
        engine = self._prepared.engine
        require_unchanged(self.net, self._network)
        self._require_memory(modulators, "modulators=")
        self._require_memory(call, "call=")
        if (call is None) != (every is None):
            raise ValueError(f"call is {call!r:.60} and every is {every}; expected both, or neither")
        if self._running:
            raise RuntimeError("run was called within a call of run; expected get, set, stop, store or restore there")
        dt, first = engine.options.dt, engine.step
        last = first + duration_steps(duration, dt)
        span = last - first if every is None else whole_steps(every, dt, f"every is {every} ms")
        for p, source in (modulators or {}).items():
            engine.set_modulator(p, source)
            self._modulators[p] = source, engine.step
        total = duration if self._folder is None else last * dt
        with Progress("simulating", total / 1000, unit="s", digits=1, show=progress) as bar:
            if self._folder is None:
                return self._in_memory(first, last, span, call, bar)
            self._folder.extend(last)
            into_folder(self._prepared, self._folder, last, bar)
        recording = Recording.open(self._folder.path, network=self.net)
        return recording.after(first * dt) if first else recording

    def stop(self) -> None:
        """Within a call of `run`: end it after this call. Raises RuntimeError elsewhere."""
        if not self._running:
            raise RuntimeError("stop was called while nothing runs; expected it within run(call=)")
        self._stopped = True

    def get(self, target: Population | Projection | Background | str, name: str | None = None) -> Any:
        """The value `name` of a population, projection or background now, or all of them by name: copies, float64.

        Of a population (or its name): variables, `refractory_left` (ms) and parameters, (neurons,); of a projection:
        `weight` (edges,) in the order of `edges()`, and `wiring`, (sources, targets); of a background: `rate` and
        `weight` (neurons,); of both, their synapse's variables, (neurons,) of the target, whose other inputs by the
        same synapse share them. A drive that changes in time is a `TimeSeries`. Raises
        ValueError for a name that is none of them.
        """
        own = resolve(self.net, target)
        values = read(self.net, self._prepared.engine, own)
        if name is None:
            return values
        if name not in values:
            raise ValueError(f"{own!r} has no {name!r}; expected one of {', '.join(values)}")
        return values[name]

    def set(self, target: Population | Projection | Background | str, **values: Any) -> None:
        """Set what `get` reads: a number, or one a neuron or an edge. The run goes on with it.

        Parameters and weights that do not learn are the network's: they are set there, too, as by `Network.set`. A
        spike under way keeps the weight that it was sent with (compiled, by steps), or meets that of its arrival
        (torch, events). A learned weight is set within its rule's bounds, and its traces stay. `wiring`, (sources,
        targets) or a rule, takes other edges for the old ones, of projections with one delay that do not learn. Raises
        ValueError or TypeError for what does not fit, with nothing changed, and where the run lies in a folder.
        """
        self._require_memory(True, "set")
        require_unchanged(self.net, self._network)
        own, engine = resolve(self.net, target), self._prepared.engine
        weights = None
        if isinstance(own, Projection) and own.plasticity is not None and "weight" in values:
            weights = learned(own, values.pop("weight"))
        variables, new = divide(self.net, engine, own, values)
        if weights is not None and isinstance(own, Projection):
            engine.set_weights(own.index, weights)
        if new:
            self._change([(own, new)])
        if variables:
            self._prepared.engine.set_values(own if isinstance(own, Population) else own.target, variables)

    def store(self) -> StoredState:
        """The simulation as it is: variables, weights, what is under way, random numbers, parameters."""
        require_unchanged(self.net, self._network)
        engine = self._prepared.engine
        return StoredState(self.time, engine.state(), tuple(every_setting(self.net)), dict(self._modulators))

    def restore(self, stored: StoredState) -> None:
        """Go back (or forth) to what `store` returned, to the bit. Raises ValueError for another simulation's, and
        where the run lies in a folder."""
        self._require_memory(True, "restore")
        require_unchanged(self.net, self._network)
        own = [target for target, _ in every_setting(self.net)]
        if len(own) != len(stored.settings) or any(
            x is not y for x, (y, _) in zip(own, stored.settings, strict=True)
        ):
            raise ValueError("the state is of another network; expected one that this simulation stored")
        self._change(stored.changed(self.net), stored)

    def reset(self) -> None:
        """Go back to t = 0, with the parameters and weights of now and the modulators of the beginning. Raises
        ValueError where the run lies in a folder."""
        self._require_memory(True, "reset")
        require_unchanged(self.net, self._network)
        self._prepared, self._modulators = self._prepare(), {}

    @property
    def weights(self) -> Weights:
        """The plastic projections' weights now."""
        return Weights(self._prepared.engine.weights(), {})

    def close(self) -> None:
        """Let others write to the folder, if there is one."""
        if self._folder is not None:
            self._folder.close()

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _in_memory(self, first: int, last: int, span: int, call: Call | None, bar: Progress) -> Recording:
        """The steps first .. last, with a call every `span` of them."""
        pieces, reached = [], first
        self._running, self._stopped = True, False
        try:
            while reached < last and not self._stopped:
                new = advance_to(self._prepared, min(reached + span, last), bar, first)
                pieces += new
                if call is not None:
                    call(self, self._recording(new, reached))
                reached = min(reached + span, last)
                if self._prepared.engine.step != reached:
                    raise RuntimeError(
                        f"a call went to t = {self.time:g} ms; expected restore within a call to keep the time: stop "
                        "first, and restore after run"
                    )
        finally:
            self._running = False
        return self._recording(pieces, first)

    def _recording(self, pieces: list[Any], first: int) -> Recording:
        engine = self._prepared.engine
        duration = (engine.step - first) * engine.options.dt
        return recording_of(self._prepared, pieces, first, self._prepared.manifest | {"duration": duration})

    def _change(self, changes: list[Any], stored: StoredState | None = None) -> None:
        """Put settings in place and go on from the state of now, or from a stored state; all of it or nothing."""
        undo, prepared, engine = put(changes), self._prepared, self._prepared.engine
        forgotten = stored is not None and bool(self._modulators.keys() - stored.modulators.keys())
        try:
            if changes or forgotten:
                prepared = self._prepare()
                if stored is None:
                    prepared.engine.adopt(engine)
            if stored is not None:
                prepared.engine.load(stored.state)
        except BaseException:
            put(undo)
            raise
        if stored is not None:
            for p, (source, start) in stored.modulators.items():
                prepared.engine.set_modulator(p, source, start)
            self._modulators = dict(stored.modulators)
        self._prepared, self._network = prepared, snapshot(self.net)

    def _require_memory(self, intervention: Any, what: str) -> None:
        if self._folder is not None and intervention:
            raise ValueError(
                f"{what} is used in {self._folder.path}, where a run is a function of network and seed; expected no "
                "intervention: use a Simulation without path"
            )


__all__ = ["Call", "Simulation"]
