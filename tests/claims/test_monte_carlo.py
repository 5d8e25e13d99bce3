"""What the Monte Carlo is held against, from the package's theory; and its statistics on made-up trains."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.atlas.simulation import monte_carlo
from ranvier.atlas.simulation.monte_carlo import CELLS


@pytest.mark.parametrize("name", CELLS)
def test_expected_values_are_the_density_equations(name):
    cell, p = CELLS[name], CELLS[name].neuron

    def force(V):
        return p.E_L - V + p.Delta_T * torch.exp((V - p.V_T) / p.Delta_T) + cell.drive

    V_lb = {"O": -150.0, "R": -140.0, "T": -100.0}[name]
    limits = {"V_th": p.V_th, "V_reset": p.V_reset, "V_lb": V_lb}
    fine = rv.theory.stationary(
        rv.theory.membrane(force, tau=p.tau_m, sigma=cell.noise, t_ref=p.t_ref, N=4000, **limits)
    )
    assert float(fine.rate) == pytest.approx(cell.rate, rel=3e-5)
    assert float(fine.cv) == pytest.approx(cell.cv, rel=1e-3)


def test_cv_of_a_fixed_number_of_intervals_is_that_of_the_process():
    """Gamma intervals of shape 2: CV 1/√2; and the error bar covers it."""
    intervals = np.random.default_rng(0).gamma(2.0, 1.0, (200, 100))
    result, error = monte_carlo._cv(intervals), monte_carlo._jackknife(intervals)
    assert abs(result - 2**-0.5) < 4 * error
    assert 0.002 < error < 0.006  # 20 000 intervals: about CV sqrt((1/2 + CV²)/n) = 0.005


def test_intervals_are_each_neurons_own():
    steps, neurons = [10, 20, 30, 50, 60, 90], [0, 1, 0, 1, 0, 1]
    observed = rv.Recording(steps, neurons, n_neurons=2, dt=1.0, duration=100.0)
    np.testing.assert_allclose(monte_carlo._intervals(observed, 9), [[20.0, 30.0], [30.0, 40.0]])
