"""Synthetic networks and recordings, each made once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def spiking():
    import synthetic

    net = synthetic.network()
    return net, synthetic.recording(net)


@pytest.fixture(scope="session")
def graded():
    import synthetic

    return synthetic.graded()
