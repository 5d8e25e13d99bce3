"""The demo experiment, entered into the registry for the length of one test."""

from __future__ import annotations

import pytest


@pytest.fixture
def demo(monkeypatch):
    from ranvier.atlas import _registry, experiments, register
    from tests.atlas.demo_experiment import DEMO

    experiments()
    monkeypatch.setattr(_registry, "_records", dict(_registry._records))
    return register(DEMO)
