"""The tools that measure are themselves measured: planted rates, irregularities and times."""

import numpy as np
import pytest
from benchmarks._harness import Row
from benchmarks._report import against, goal, lines
from benchmarks._statistics import describe
from benchmarks.cases import CASES


def test_regular_spikes() -> None:
    """Three neurons fire every 50 ms, a fourth is silent; sources from index 4 on do not count."""
    times = np.concatenate([np.arange(1, 41) * 50.0] * 3 + [np.linspace(1.0, 2000.0, 500)])
    neurons = np.repeat([2, 0, 1, 4], [40, 40, 40, 500])
    found = describe(times, neurons, 4, 0.0, 2000.0)
    assert found["rate"] == pytest.approx(15.0)
    assert found["cv"] == pytest.approx(0.0, abs=1e-12)


def test_the_beginning_is_left_out() -> None:
    found = describe(np.array([100.0, 200.0, 200.1, 300.0]), np.zeros(4, int), 1, 200.0, 400.0)
    assert found["rate"] == pytest.approx(10.0)
    assert np.isnan(found["cv"])


def test_gamma_spikes_have_the_known_cv(rng: np.random.Generator) -> None:
    """Gamma intervals of shape k have CV 1/sqrt(k); long trains leave a bias below a hundredth."""
    intervals = rng.gamma(4.0, 5.0, size=(50, 2000))
    times = np.cumsum(intervals, axis=1)
    neurons = np.repeat(np.arange(50), 2000)
    order = rng.permutation(times.size)
    found = describe(times.ravel()[order], neurons[order], 50, 0.0, float(times.max()))
    assert found["cv"] == pytest.approx(0.5, abs=0.01)


def row(side: str, threads: int, seconds: list[float]) -> Row:
    fixed = {"rate": 1.0, "cv": 0.5, "build_s": 0.1, "peak_mb": 1.0}
    return Row(side, threads, rounds=[{"run_s": s, **fixed} for s in seconds])


def test_the_table_states_ratios_and_verdicts() -> None:
    case = CASES["brunel"]
    rows = [
        row("ganglion", 1, [1.0, 1.1, 0.9]),
        row("ganglion", 2, [0.5, 0.5, 0.5]),
        row("brian2", 1, [6.0, 6.6, 9.0]),
        row("nest", 1, [26.0, 30.0, 28.0]),
        Row("nest", 2, failure="no wheel"),
    ]
    assert against(rows[1], rows) == "2.00 × one thread"
    assert against(rows[2], rows) == "**6.6 ×** (6.0–10.0)"
    assert goal(case, rows[2], rows, full=True) == "≥ 7 MISSED"
    assert goal(case, rows[3], rows, full=True) == "≥ 25 met"
    assert goal(case, rows[2], rows, full=False) == "≥ 7"
    assert "missing: no wheel" in lines(case, rows, full=True)[4]
