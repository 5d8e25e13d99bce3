"""Siegert's rates and the white-noise susceptibility against NNMT's stored figures (`make oracles` renews them)."""

import numpy as np
import pytest
import torch

import ranvier as rv
from tests.oracles._compare import load


@pytest.fixture(scope="module")
def theirs():
    result = load("nnmt")
    return result, {name: np.array(value) for name, value in result["neurons"].items()}


def test_rates(theirs):
    result, p = theirs
    prediction = rv.theory.siegert(p["mu"], p["sigma"], tau=p["tau_m"], V_th=p["V_th"], V_reset=p["V_reset"])
    np.testing.assert_allclose(prediction.rate, result["rates"], rtol=1e-11)


@pytest.mark.parametrize("N", [2000, 4000])
def test_transfer_function(theirs, N):
    """NNMT's is exact for white noise without refractoriness; ours is second order in the step of the grid."""
    result, p = theirs
    few = len(result["shift"][0][0])
    mu = torch.as_tensor(p["mu"][:few])
    first = {"tau": p["tau_m"], "V_th": p["V_th"], "V_reset": p["V_reset"], "sigma": p["sigma"]}
    neurons = rv.theory.membrane(lambda V: mu - V, N=N, **{name: value[:few] for name, value in first.items()})
    A = rv.theory.response(neurons, result["frequencies"]).current.numpy()
    B = (np.array(result["shift"][0]) + 1j * np.array(result["shift"][1])) / 1000  # Hz/V -> Hz/mV
    assert np.abs(A / B - 1).max() < 5e-4 * (2000 / N) ** 2
