"""The single neuron of COBAHH, integrated by SciPy from the equations as Traub and Miles write them."""

from __future__ import annotations

from math import exp

import pytest
from scipy.integrate import solve_ivp

from ranvier.atlas.simulation import cobahh
from ranvier.atlas.simulation.cobahh import EXACT


def neuron(t, state, current):
    """Brette et al. 2007, appendix B: pF, nS, mV, pA, ms."""
    V, m, h, n = state.tolist()
    v = V + 63.0
    alpha_m = 0.32 * (13 - v) / (exp((13 - v) / 4) - 1)
    beta_m = 0.28 * (v - 40) / (exp((v - 40) / 5) - 1)
    alpha_h, beta_h = 0.128 * exp((17 - v) / 18), 4 / (1 + exp((40 - v) / 5))
    alpha_n = 0.032 * (15 - v) / (exp((15 - v) / 5) - 1)
    beta_n = 0.5 * exp((10 - v) / 40)
    inflow = 10 * (-60 - V) + current - 20_000 * m**3 * h * (V - 50) - 6000 * n**4 * (V + 90)
    return [
        inflow / 200,
        alpha_m * (1 - m) - beta_m * m,
        alpha_h * (1 - h) - beta_h * h,
        alpha_n * (1 - n) - beta_n * n,
    ]


def spike(t, state, current):
    return state[0] + 20.0


spike.direction = 1


@pytest.mark.parametrize("current", EXACT)
@pytest.mark.long
def test_expected_interval(current):
    start = [-60.0, 0.0, 1.0, 0.0]
    solution = solve_ivp(neuron, (0, 1000), start, args=(current,), events=spike, rtol=1e-9, atol=1e-9, method="LSODA")
    times = solution.t_events[0]
    assert (times[-1] - times[0]) / (len(times) - 1) == pytest.approx(EXACT[current], abs=1e-4)


def test_the_error_is_of_first_order():
    errors = [cobahh.intervals(dt)[list(EXACT).index(500.0)] - EXACT[500.0] for dt in (0.04, 0.02)]
    assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.1)
