"""The AdEx patterns, re-derived spike by spike with SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from ranvier.atlas.simulation import adex
from ranvier.atlas.simulation.adex import PATTERNS

DURATION = 400.0  # ms
CUT = -20.0  # mV: from there to 0 mV the upstroke takes less than 1e-4 ms


def train(C, g_L, E_L, a, tau_w, b, V_reset, current):
    """Naud et al. 2008, eqs. 1–3, from one spike to the next."""

    def slopes(t, state):
        V, w = state
        return [(g_L * (E_L - V + 2 * np.exp((V + 50) / 2)) + current - w) / C, (a * (V - E_L) - w) / tau_w]

    def spike(t, state):
        return state[0] - CUT

    spike.terminal = True
    t, state, times = 0.0, [E_L, 0.0], []
    while True:
        run = solve_ivp(slopes, (t, DURATION), state, events=spike, rtol=1e-9, atol=1e-9, method="LSODA", max_step=5.0)
        if run.status != 1:
            return np.array(times)
        t = run.t_events[0][0]
        times.append(t)
        state = [V_reset, run.y_events[0][0][1] + b]


@pytest.fixture(scope="module")
def observed():
    return adex.simulate(DURATION)


@pytest.mark.parametrize("name", [name for name in PATTERNS if name != "irregular"])
def test_spike_times(observed, name):
    """To first order in the step of 0.01 ms; errors add up over spikes, most of all in delayed bursting."""
    result, exact = adex._train(observed, list(PATTERNS).index(name)), train(*PATTERNS[name])
    assert abs(len(result) - len(exact)) <= 1
    both = min(len(result), len(exact))
    assert np.abs(result[:both] - exact[:both]).max() < 0.01 + 0.03 * both


def test_bursts():
    assert adex._bursts(np.array([1.0, 1, 9, 1, 1, 9, 1, 1, 9])).tolist() == [3, 3]
    assert adex._bursts(np.array([1.0, 9, 1, 1, 9, 1, 9, 1])).tolist() == [3, 2]
    assert adex._bursts(np.full(5, 2.0)).tolist() == [1, 1, 1, 1]
    assert adex._bursts(np.zeros(0)).tolist() == [0]
