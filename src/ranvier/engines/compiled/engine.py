"""The compiled engine: numba kernels printed from the equations, by steps or from event to event."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.engines.compiled.lowering import lower
from ranvier.engines.compiled.stepping import SteppingRun
from ranvier.engines.events.choice import CHECK, LEAST, stepping_pays, to_stepping
from ranvier.engines.events.engine import EventRun
from ranvier.engines.events.lowering import EventModel, event_model
from ranvier.engines.events.lowering import lower as lower_events
from ranvier.engines.protocol import EngineOptions, NotFinite, Segment
from ranvier.networks import Network, Population, Projection, TimeSeries


class CompiledEngine:
    """A run by one of two loops; see `Engine`.

    A network of linear neurons without noise goes from event to event (`ranvier.engines.events`), until that costs
    more than stepping; every other is stepped. `choice` says which, and why.
    """

    def __init__(self, net: Network, options: EngineOptions) -> None:
        self.net, self.options = net, options
        model, self.choice = _choose(net, options)
        self.loop: SteppingRun | EventRun
        self.loop = EventRun(lower_events(model, options)) if model else SteppingRun(lower(net, options))
        self._finite = isinstance(self.loop, EventRun) and self.loop.stays_finite
        self._checked = np.zeros(3, np.int64)  # totals at the last look at what the loop costs

    @classmethod
    def prepare(cls, net: Network, options: EngineOptions) -> CompiledEngine:
        """The network at t = 0. Raises ValueError for delays below dt, and whatever the equations or network lack."""
        return cls(net, options)

    @property
    def step(self) -> int:
        """Steps done."""
        return self.loop.step

    @property
    def threads(self) -> int:
        """Threads in use, at most those requested."""
        return self.loop.program.base.threads if isinstance(self.loop, EventRun) else self.loop.program.threads

    @property
    def report(self) -> dict[str, Any]:
        """Which loop runs and why; of events, what there was of them."""
        if not isinstance(self.loop, EventRun):
            return {"method": "stepping", "why": self.choice}
        events, visits, ties = (int(x) for x in self._total(self.loop.totals))
        return {"method": "events", "why": self.choice, "synaptic_events": events, "visits": visits, "ties": ties}

    def advance(self, last: int) -> Segment:
        """Go on to step `last`."""
        pieces = []
        while isinstance(self.loop, EventRun) and self.loop.step < last and self.options.method is None:
            pieces.append(self.loop.advance(min(last, (self.loop.step // CHECK + 1) * CHECK)))
            if self.loop.step % CHECK == 0:
                totals = self._total(self.loop.totals)
                done, self._checked = totals - self._checked, totals
                if reason := stepping_pays(self.loop, done):
                    if self.options.group is not None:  # stepping divides the neurons otherwise among the ranks
                        self.loop.load(self.options.group.whole(self.share()))
                    self.loop, self.choice = to_stepping(self.loop, lower(self.net, self.options)), reason
        if self.loop.step < last or not pieces:
            pieces.append(self.loop.advance(last))
        if len(pieces) == 1:
            return pieces[0]
        samples = {
            name: tuple(np.concatenate([piece.samples[name][k] for piece in pieces]) for k in (0, 1))
            for name in pieces[0].samples
        }
        return Segment(
            np.concatenate([piece.steps for piece in pieces]), np.concatenate([piece.neurons for piece in pieces]),
            samples,  # type: ignore[arg-type]
        )  # fmt: skip

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that the future depends on, copied."""
        state = self.loop.state()
        return state | {"checked": self._checked.copy()} if isinstance(self.loop, EventRun) else state

    def share(self) -> dict[str, NDArray[Any]]:
        """What this rank owns of `state()`, as `ranvier.engines.recording.shares` puts it together."""
        out, first = self.loop.share(), self.options.rank == 0
        if isinstance(self.loop, EventRun):
            out["checked"] = self._checked if first else self._checked[:0]
        return out | {"step": np.array([self.step] if first else [], np.int64)}

    def own(self, population: Population) -> tuple[int, int]:
        """The first of this rank's neurons of a population, and the one after its last."""
        return self.loop.own(population)

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up a state of `state()`. Raises ValueError if it is another network's."""
        if isinstance(self.loop, EventRun) and "ring" in state:
            self.loop, self.choice = SteppingRun(lower(self.net, self.options)), "it was stepped when it was saved"
        elif not isinstance(self.loop, EventRun) and "queue_steps" in state:
            model = event_model(self.net, self.options.dt)
            if isinstance(model, str):
                raise ValueError(
                    f"the saved state is of a network without noise; expected such a one, but {model}: start in a "
                    "new folder"
                )
            self.loop = EventRun(lower_events(model, self.options))
        self.loop.load(state)
        if isinstance(self.loop, EventRun):
            self._finite, self._checked = self.loop.stays_finite, np.array(state["checked"], np.int64)

    def values(self, population: Population) -> dict[str, NDArray[np.float64]]:
        """A population's variables now, and the steps left of its refractory period."""
        return self.loop.values(population)

    def set_values(self, population: Population, values: Mapping[str, NDArray[np.float64]]) -> None:
        """Replace some of `values(population)`."""
        self.loop.set_values(population, values)
        self._finite = self._finite and self.first_bad() is None

    def adopt(self, earlier: CompiledEngine) -> None:
        """Take up the state of an engine of the same network before some of its parameters were changed."""
        mine, theirs = self.loop, earlier.loop
        if isinstance(theirs, EventRun):
            if isinstance(mine, EventRun):
                mine.adopt(theirs)
                self._checked = earlier._checked.copy()
            else:
                self.loop = to_stepping(theirs, mine.program)
            return
        if isinstance(mine, EventRun):
            mine = SteppingRun(lower(self.net, self.options))
            self.loop, self.choice = mine, earlier.choice
        mine.adopt(theirs)

    def weights(self, indices: Collection[int] | None = None) -> dict[int, NDArray[Any]]:
        """Plastic projections' weights (edges,) in the order of `edges()`, by the projection's index."""
        return {} if isinstance(self.loop, EventRun) else self.loop.weights(indices)

    def set_weights(self, index: int, values: NDArray[Any]) -> None:
        """Replace a plastic projection's weights by values (edges,), in the order of `edges()`."""
        if isinstance(self.loop, SteppingRun):
            self.loop.set_weights(index, values)

    def set_modulator(
        self, projection: Projection, source: TimeSeries | Population, start: int | None = None
    ) -> None:
        """Replace a plastic projection's modulator; a series begins at step `start`, now by default."""
        if isinstance(self.loop, SteppingRun):
            self.loop.set_modulator(projection, source, start)

    def _total(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Over all ranks."""
        return counts if self.options.group is None else self.options.group.total(counts)

    @property
    def stays_finite(self) -> bool:
        """Whether nothing can become infinite or NaN, so that no check is needed."""
        return self._finite and isinstance(self.loop, EventRun)

    def first_bad(self) -> NotFinite | None:
        """The first state variable that is not finite, if there is one."""
        return self.loop.first_bad()


def _choose(net: Network, options: EngineOptions) -> tuple[EventModel | None, str]:
    """The linear model where the run goes from event to event, and why."""
    if options.method == "stepping":
        return None, "it was requested"
    if options.method is None and max((p.size for p in net.populations), default=0) < LEAST:
        return None, f"no population has {LEAST} neurons"
    model = event_model(net, options.dt)
    if options.method == "events":
        if isinstance(model, str):
            raise ValueError(f"engine is 'events', but {model}; expected linear neurons without noise: use 'compiled'")
        return model, "it was requested"
    if isinstance(model, str):
        return None, model
    return model, "all equations are linear and free of noise"
