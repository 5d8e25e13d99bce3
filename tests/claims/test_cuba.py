"""The peers' figures that CUBA is held against are those on record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ranvier.atlas.simulation import cuba

REFERENCE = Path(__file__).parents[1] / "oracles" / "reference" / "cuba4000.json"


@pytest.mark.parametrize(
    ("what", "mean", "spread"),
    [
        ("rate", cuba.PEERS_RATE, cuba.PEERS_RATE_SPREAD),
        ("cv", cuba.PEERS_CV, cuba.PEERS_CV_SPREAD),
    ],
)
def test_peers(what, mean, spread):
    peers = json.loads(REFERENCE.read_text(encoding="utf-8"))["peers"]
    values = np.concatenate([peer[what] for peer in peers.values()])
    assert len(values) == cuba.PEERS_RUNS
    assert values.mean() == pytest.approx(mean, rel=1e-3)
    assert values.std() == pytest.approx(spread, rel=0.4)  # of forty runs: known to 11 %
