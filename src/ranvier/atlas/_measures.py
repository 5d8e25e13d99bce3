"""What several entries measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ranvier.engines import Recording


def mean_cv(recording: Recording, intervals: int) -> float:
    """Mean over neurons of the coefficient of variation of their intervals, of which they have at least `intervals`.

    >>> net = rv.Network()
    >>> source = net.add(rv.SpikeTimes(np.arange(10.0, 1000.0, 20.0), np.zeros(50)), 1)  # regular
    >>> round(rv.atlas.mean_cv(rv.simulate(net, 1000.0, dt=1.0, engine="torch"), 10), 6)
    0.0
    """
    spikes = recording.rates().numpy() * recording.duration / 1000
    return float(np.nanmean(recording.cv().numpy()[spikes > intervals + 0.5]))
