"""Rates and irregularity from spike lists, the same plain code for every simulator."""

import numpy as np


def describe(times: np.ndarray, neurons: np.ndarray, size: int, start: float, stop: float) -> dict[str, float]:
    """Mean rate (Hz) and mean CV of the inter-spike intervals, of spikes within (start, stop] (ms).

    The CV is the mean over neurons with at least five intervals (NaN where there are none); short windows
    bias it, alike for every simulator.
    """
    # Sources of spikes have the indices from `size` on.
    inside = (times > start + 1e-6) & (times <= stop + 1e-6) & (neurons < size)
    times, neurons = np.asarray(times)[inside], np.asarray(neurons)[inside]
    order = np.lexsort((times, neurons))
    times, neurons = times[order], neurons[order]
    same = neurons[1:] == neurons[:-1]
    interval, owner = np.diff(times)[same], neurons[1:][same]
    count = np.bincount(owner, minlength=size)
    some = np.maximum(count, 1)
    mean = np.bincount(owner, interval, size) / some
    variance = np.bincount(owner, (interval - mean[owner]) ** 2, size) / some
    enough = count >= 5
    cv = np.sqrt(variance[enough]) / mean[enough]
    return {
        "rate": len(times) / size / (stop - start) * 1000.0,
        "cv": float(cv.mean()) if len(cv) else float("nan"),
    }
