"""A simulation that is run piece by piece, with a look or a hand on its weights in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ranvier.engines._simulate import Progress, described, duration_steps, in_memory, prepare
from ranvier.engines.recording.probes import Probe
from ranvier.engines.recording.recording import Recording
from ranvier.engines.recording.weights import WeightProbe, Weights
from ranvier.networks import Network, Projection


class Simulation:
    """A network made ready to run: `run` goes on from where the last one ended, as if it had not been cut.

    The arguments are those of `simulate`.
    """

    def __init__(
        self,
        net: Network,
        *,
        dt: float = 0.1,
        seed: int = 0,
        engine: str = "compiled",
        threads: int = 1,
        record: Sequence[str | Probe | WeightProbe] | str | Probe | WeightProbe = (),
        dtype: torch.dtype = torch.float32,
        modulators: Mapping[Projection, Any] | None = None,
    ) -> None:
        self.net = net
        self._made = prepare(
            net, dt=dt, seed=seed, engine=engine, threads=threads, record=record, dtype=dtype, modulators=modulators
        )
        self._manifest = described(net, dt, seed, engine, dtype)

    @property
    def time(self) -> float:
        """How far it has come, ms."""
        return self._made.runner.step * self._made.runner.dt

    def run(
        self, duration: float, *, modulators: Mapping[Projection, Any] | None = None, progress: bool = False
    ) -> Recording:
        """Go on for `duration` ms and return what was seen; its clock is the simulation's, `start` its beginning.

        `modulators` replaces modulators from here on; a `TimeSeries` in it begins here.
        """
        runner = self._made.runner
        for p, source in (modulators or {}).items():
            runner.set_modulator(p, source)
        steps = duration_steps(duration, runner.dt)
        with Progress(duration, progress) as bar:
            return in_memory(self._made, self.net, runner.step + steps, self._manifest | {"duration": duration}, bar)

    @property
    def weights(self) -> Weights:
        """The plastic projections' weights now."""
        return Weights(self._made.runner.weights(), {})

    def set_weights(self, projection: Projection, weights: Any) -> None:
        """Replace a plastic projection's weights, (edges,) in the order of `edges()`; its traces stay.

        Raises ValueError for another number of weights, or some that are not finite or out of the rule's bounds.
        """
        values = np.asarray(weights.detach() if hasattr(weights, "detach") else weights, np.float64).reshape(-1)
        if projection.plasticity is None or not any(projection is p for p in self.net.projections):
            raise ValueError(f"found {projection!r:.80}, expected a plastic projection of this network")
        if len(values) != projection.size:
            raise ValueError(f"found {len(values)} weights for {projection.size} edges of {projection!r}")
        low, high = projection.plasticity.bounds
        slack = 1e-6 * max((abs(x) for x in (low, high) if np.isfinite(x)), default=0.0)
        least, most = (values.min(), values.max()) if len(values) else (low, high)
        if not (np.isfinite(values).all() and low - slack <= least and most <= high + slack):
            raise ValueError(f"found weights from {least:g} to {most:g}, expected finite ones from {low:g} to {high:g}")
        self._made.runner.set_weights(projection.index, np.clip(values, low, high))


__all__ = ["Simulation"]
