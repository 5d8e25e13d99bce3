"""Intervals of means over seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats


def least(differences: Any) -> float:
    """Lower end of the mean's 95 % interval, by Student's t over (paired) seeds."""
    values = np.asarray(differences, float)
    n = len(values)
    return float(values.mean() - stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n))


def largest(differences: Any) -> float:
    """Its upper end."""
    return -least(-np.asarray(differences, float))
