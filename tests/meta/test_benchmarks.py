"""The tools that measure are themselves measured: planted rates, irregularities and times."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from benchmarks import atlas
from benchmarks._harness import Row
from benchmarks._processes import Failed, Process, in_turn, install
from benchmarks._report import against, goal, lines
from benchmarks._statistics import describe
from benchmarks.cases import CASES


def test_regular_spikes() -> None:
    """Three neurons fire every 50 ms, a fourth is silent; sources from index 4 on do not count."""
    times = np.concatenate([np.arange(1, 41) * 50.0] * 3 + [np.linspace(1.0, 2000.0, 500)])
    neurons = np.repeat([2, 0, 1, 4], [40, 40, 40, 500])
    result = describe(times, neurons, 4, 0.0, 2000.0)
    assert result["rate"] == pytest.approx(15.0)
    assert result["cv"] == pytest.approx(0.0, abs=1e-12)


def test_the_beginning_is_left_out() -> None:
    result = describe(np.array([100.0, 200.0, 200.1, 300.0]), np.zeros(4, int), 1, 200.0, 400.0)
    assert result["rate"] == pytest.approx(10.0)
    assert np.isnan(result["cv"])


def test_gamma_spikes_have_the_known_cv(rng: np.random.Generator) -> None:
    """Gamma intervals of shape k have CV 1/sqrt(k); long trains leave a bias below a hundredth."""
    intervals = rng.gamma(4.0, 5.0, size=(50, 2000))
    times = np.cumsum(intervals, axis=1)
    neurons = np.repeat(np.arange(50), 2000)
    order = rng.permutation(times.size)
    result = describe(times.ravel()[order], neurons[order], 50, 0.0, float(times.max()))
    assert result["cv"] == pytest.approx(0.5, abs=0.01)


def row(side: str, threads: int, seconds: list[float]) -> Row:
    fixed = {"rate": 1.0, "cv": 0.5, "build_s": 0.1, "peak_mb": 1.0}
    return Row(side, threads, rounds=[{"run_s": s, **fixed} for s in seconds])


def test_the_table_states_ratios_and_verdicts() -> None:
    case = CASES["brunel"]
    rows = [
        row("ranvier", 1, [1.0, 1.1, 0.9]),
        row("ranvier", 2, [0.5, 0.5, 0.5]),
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


ECHO = """
import sys
from benchmarks._processes import answering
answer = answering()
print("noise")
answer("ready")
for line in sys.stdin:
    if "stop" in line:
        answer({"error": "it cannot"})
    answer(2 * int(line))
"""


def test_processes_answer_line_by_line() -> None:
    process = Process("echo", [sys.executable, "-c", ECHO])
    assert process.first == "ready" and process.ask(21) == 42
    with pytest.raises(Failed, match="echo: it cannot"):
        process.ask("stop")
    process.close()
    with pytest.raises(Failed, match="process ended with 3"):
        Process("short", [sys.executable, "-c", "import sys; sys.exit(3)"])


def test_sides_are_asked_in_turn() -> None:
    order: list[str] = []

    def side(name: str) -> Callable[[], float]:
        return lambda: float(len(order)) if order.append(name) is None else 0.0

    result = in_turn({name: side(name) for name in "abc"}, 3)
    assert "".join(order) == "abcbcacab"
    assert result == {"a": [1.0, 6.0, 8.0], "b": [2.0, 4.0, 9.0], "c": [3.0, 5.0, 7.0]}


def test_an_environment_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr("benchmarks._processes.subprocess.run", lambda command, **_: ran.append(command))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    assert install(tmp_path, ("a==1",), ("--no-deps", "b"), check="import a") == ""
    assert [command[1:] for command in ran] == [
        ["-m", "pip", "install", "--quiet", "a==1"], ["-m", "pip", "install", "--quiet", "--no-deps", "b"],
        ["-c", "import a"],
    ]  # fmt: skip
    assert install(tmp_path, ("a==1",), ("--no-deps", "b"), check="import a") == "" and len(ran) == 3
    assert install(tmp_path, ("a==2",)) == "" and len(ran) == 4


def test_an_environment_that_cannot_be_made_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: list[str], **_: object) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="working\nno such package\n")

    monkeypatch.setattr("benchmarks._processes.subprocess.run", fail)
    assert install(tmp_path, ("a==1",)) == "it could not be installed: no such package"
    assert not (tmp_path / ".ready").exists()


def judged(values: list[float], bound: float = 1.0, **more: object) -> list[dict[str, object]]:
    """A claim "at least `bound`" as three seeds measured it."""
    fixed = {"relation": "≥", "expected": bound, "tolerance": 0.0, "ours": False, "only": ""}
    fixed["mutant_verdict"] = "refuted"
    return [
        fixed | {"measured": x, "verdict": "reproduced" if x >= bound else "refuted"} | more for x in values
    ]  # fmt: skip


def test_the_atlas_says_how_far_a_claim_is_from_its_bound() -> None:
    """Mean 1.5 and spread 0.1: five spreads within, refuted by chance in 2.9e-7 of all runs."""
    claims = judged([1.4, 1.5, 1.6])
    assert atlas.margin(claims) == pytest.approx(5.0)
    assert atlas.false_alarm(claims) == pytest.approx(2.8665e-7, rel=1e-3)
    assert atlas.verdict(claims) == "reproduced"
    assert atlas.verdict(judged([1.1, 1.2, 1.3])) == "reproduced, close (2.0 spreads)"
    assert atlas.verdict(judged([0.9, 1.2, 1.3])) == "reproduced in 2 of 3"
    assert atlas.verdict(judged([1.4, 1.5, 1.6], ours=True)) == "ours"
    assert atlas.verdict(judged([1.5, 1.5, 1.5], only="full size")) == "reproduced; not in the tests: full size"
    both = judged([1.9, 2.0, 2.1], 1.5, relation="=", tolerance=0.8, verdict="reproduced")
    assert atlas.margin(both) == pytest.approx(3.0)
