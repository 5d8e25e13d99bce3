"""Where a plastic projection's modulator comes from: a time series, or the spikes of a population."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier._steps import whole_steps
from ranvier.engines.plasticity import records as g
from ranvier.networks import Network, Population, Projection, TimeSeries


@dataclass(frozen=True)
class ModulatorSource:
    """kind: NOWHERE, SERIES or POPULATION; the series, or the population's index."""

    kind: int
    series: TimeSeries | None = None
    population: int = 0

    def interval_steps(self, dt: float) -> int:
        """Steps between two values of the series."""
        if self.series is None:
            return 1
        interval = self.series.interval
        return whole_steps(interval, dt, f"a modulator changes every {interval:g} ms")


def modulator_of(net: Network, p: Projection, replacements: Mapping[Any, Any] | None = None) -> ModulatorSource:
    """The modulator of a plastic projection; `replacements` (projection -> source) go before the network's own.

    Raises ValueError where the rule needs one and there is none, TypeError for something else.
    """
    source = (replacements or {}).get(p, p.modulator)
    if source is None:
        if p.plasticity is not None and p.plasticity.law.uses_modulator:
            raise ValueError(
                f"{p!r} learns by {type(p.plasticity).__name__}, which needs a modulator; expected "
                "connect(..., modulator=) or "
                "simulate(..., modulators={projection: ...}) with a TimeSeries or a Population"
            )
        return ModulatorSource(g.NOWHERE)
    if isinstance(source, Population):
        if not any(q is source for q in net.populations):
            raise ValueError(
                f"the modulator of {p!r} is population {source.name!r} of another network; expected one of this "
                "network's"
            )
        return ModulatorSource(g.POPULATION, population=source.index)
    if not isinstance(source, TimeSeries):
        raise TypeError(f"the modulator of {p!r} is {source!r:.60}; expected a TimeSeries or a Population")
    if source.values.ndim == 2 and source.values.shape[1] != p.target.size:
        raise ValueError(
            f"the modulator of {p!r} has {source.values.shape[1]} columns; expected (T,) or (T, {p.target.size})"
        )
    return ModulatorSource(g.SERIES, series=source)


def describe_modulators(sources: Mapping[Any, Any]) -> dict[str, Any]:
    """Modulators as JSON, for a run's manifest: equal ones have equal text."""
    import hashlib

    def text(source: Any) -> str:
        if isinstance(source, Population):
            return source.name
        values = source.values.detach().double().numpy()
        return hashlib.sha256(values.tobytes() + repr((values.shape, source.interval)).encode()).hexdigest()

    return {str(p.index): text(source) for p, source in sources.items()}


def series_rows(series: TimeSeries | None, real: Any) -> NDArray[Any]:
    """Its values (T, 1 or neurons)."""
    if series is None:
        return np.zeros((1, 1), real)
    values = series.values.detach().numpy().astype(real)
    return np.ascontiguousarray(values.reshape(len(values), -1))


__all__ = ["ModulatorSource", "describe_modulators", "modulator_of", "series_rows"]
