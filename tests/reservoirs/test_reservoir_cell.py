"""A fitted reservoir as a layer: the laws of cells, and the estimator's own states."""

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from ranvier.reservoirs import ESN
from ranvier.reservoirs.cell import Reservoir
from tests.laws.cells import check_cell


def fitted():
    x = np.random.default_rng(0).normal(size=(200, 2))
    esn = ESN(30, leak=0.4, bias_scaling=0.3, connectivity=0.2, random_state=0)
    return esn.fit(x[:-1], x[1:]), x


def test_laws():
    cell = Reservoir(fitted()[0], dtype=torch.float64)
    x = torch.randn(9, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    check_cell(cell, x, list(cell.parameters()))


def test_the_states_are_the_estimators():
    esn, x = fitted()
    y, _ = Reservoir(esn, dtype=torch.float64)(torch.from_numpy(x[:50, None]))
    features, _ = esn._features(x[:50], np.zeros(30))
    np.testing.assert_allclose(y[:, 0].detach(), features[:, :30], rtol=0, atol=1e-7)


def test_refusals():
    with pytest.raises(NotFittedError):
        Reservoir(ESN())
    cell = Reservoir(fitted()[0])
    with pytest.raises(ValueError, match="expected"):
        cell(torch.zeros(3, 1, 5))
    with pytest.raises(ValueError, match="inf in x at step 0"):
        cell(torch.full((3, 1, 2), torch.inf))
    with pytest.raises(ValueError, match=r"state r has shape \(1, 4\); expected \(1, "):
        cell(torch.zeros(3, 1, 2), {"r": torch.zeros(1, 4)})
