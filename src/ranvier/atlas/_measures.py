"""What several entries measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ranvier.engines import Recording


def mean_cv(recording: Recording, intervals: int) -> float:
    """Mean over neurons of the coefficient of variation of their intervals, of which they have at least `intervals`."""
    spikes = recording.rates().numpy() * recording.duration / 1000
    return float(np.nanmean(recording.cv().numpy()[spikes > intervals + 0.5]))
