"""Our rates and irregularity against the stored figures of Brian2 and NEST (`make oracles` renews them).

A peer's n seeds give the mean m and the deviation s of one draw: the mean of k draws of ours is then
t distributed about m with n - 1 degrees of freedom and scale s sqrt(1/k + 1/n).
"""

import functools
import math

import numpy as np
import pytest
from benchmarks._statistics import describe
from benchmarks.cases import CASES
from scipy import stats

import ranvier as rv
from tests.oracles._compare import load

CHANCE = 1e-3  # of a false alarm, in each comparison
DRAWS = {"cuba4000": 3, "brunel": 1, "eif": 1, "eif_net": 2, "cobahh": 2}


@functools.cache
def ours(name: str, dt: float) -> dict[str, float]:
    """Our mean figures over a few seeds, each with its own wiring and noise."""
    case = CASES[name]
    answers = []
    for seed in range(101, 101 + DRAWS[name]):
        recording = rv.simulate(case.load().ranvier(case.size, seed), case.oracle, dt=dt, seed=seed)
        times, neurons = recording.times.numpy(), recording.neurons.numpy()
        answers.append(describe(times, neurons, case.size, case.skip, case.oracle))
    return {key: float(np.mean([answer[key] for answer in answers])) for key in ("rate", "cv")}


@pytest.mark.parametrize("quantity", ["rate", "cv"])
@pytest.mark.parametrize("peer", ["brian2", "nest"])
@pytest.mark.parametrize("name", DRAWS)
def test_agrees_with_peer(name: str, peer: str, quantity: str) -> None:
    theirs = np.array(load(name)["peers"][peer][quantity])
    error = theirs.std(ddof=1) * math.sqrt(1 / DRAWS[name] + 1 / len(theirs))
    result = ours(name, CASES[name].compared_at(peer))[quantity]
    assert abs(result - theirs.mean()) < stats.t.ppf(1 - CHANCE / 2, len(theirs) - 1) * error
