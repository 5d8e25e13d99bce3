"""The demo experiment, entered into the registry for the length of one test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def demo(monkeypatch):
    from demo_experiment import DEMO

    from ranvier.atlas import _registry, experiments, register

    experiments()
    monkeypatch.setattr(_registry, "_records", dict(_registry._records))
    return register(DEMO)
