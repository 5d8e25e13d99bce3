"""What several entries measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ranvier.engines import Recording


def mean_cv(seen: Recording, intervals: int) -> float:
    """Mean over neurons of the coefficient of variation of their intervals, where they have at least so many."""
    spikes = seen.rates().numpy() * seen.duration / 1000
    return float(np.nanmean(seen.cv().numpy()[spikes > intervals + 0.5]))
