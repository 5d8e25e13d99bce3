"""Synthetic networks and recordings, each made once."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def spiking():
    from tests.report import synthetic

    net = synthetic.network()
    return net, synthetic.recording(net)


@pytest.fixture(scope="session")
def graded():
    from tests.report import synthetic

    return synthetic.graded()
