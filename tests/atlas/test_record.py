"""A claim judges as its expected value and tolerance say, and refuses to be untestable."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ranvier.atlas import AtLeast, AtMost, Claim, Experiment, experiments

CLAIM = Claim("It is one.", "p. 1", "x", 1.0, 0.25, "exact", {"x": 2.0})


@pytest.mark.parametrize(
    ("expected", "measured", "verdict"),
    [
        (1.0, 1.25, "reproduced"),
        (1.0, 0.75, "reproduced"),
        (1.0, 1.26, "refuted"),
        (1.0, 0.74, "refuted"),
        (AtLeast(1.0), 0.75, "reproduced"),
        (AtLeast(1.0), 99.0, "reproduced"),
        (AtLeast(1.0), 0.74, "refuted"),
        (AtMost(1.0), 1.25, "reproduced"),
        (AtMost(1.0), -99.0, "reproduced"),
        (AtMost(1.0), 1.26, "refuted"),
        (AtMost(1.0), float("nan"), "refuted"),
        (1.0, float("nan"), "refuted"),
        (1.0, None, "untested"),
    ],
)
def test_verdict(expected, measured, verdict):
    assert replace(CLAIM, expected=expected).verdict({"x": measured}) == verdict


def test_tolerance_may_be_measured():
    claim = replace(CLAIM, tolerance="error")
    assert claim.verdict({"x": 1.4, "error": 0.5}) == "reproduced"
    assert claim.verdict({"x": 1.4, "error": 0.3}) == "refuted"


def test_a_missing_metric_is_named():
    with pytest.raises(ValueError, match=r"\['y'\].*needs 'x'"):
        CLAIM.verdict({"y": 1.0})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mutant": {}}, "no mutant"),
        ({"origin": " "}, "origin is empty"),
        ({"tolerance": -1.0}, "tolerance -1.0"),
        ({"tolerance": float("inf")}, "tolerance inf"),
    ],
)
def test_claims_that_cannot_fail_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(CLAIM, **change)


#: an expected value that our own runs gave: "0.33 ± 0.025 over seeds 1 to 6", "five series gave 4.2", "found here"
FROM_OUR_RUNS = re.compile(r"over seeds \d|(seeds|series|reservoirs|networks|weights) (gave|lie|lose|remember)"
                           r"|were found|found here|what was found|measured, with room|(three|five|six) seeds: ")


def test_a_value_from_our_own_runs_is_said_to_be():
    """Where the number expected stands beside what seeds gave, it is no reproduction."""
    wrong = []
    for name, experiment in experiments().items():
        for claim in experiment.claims:
            value = claim.expected if isinstance(claim.expected, int | float) else claim.expected.value
            text = claim.origin + claim.source
            stands = re.search(rf"(?<![\d.]){re.escape(f'{abs(value):g}')}(?![\d.])", text) and value not in (0, 1)
            if not claim.ours and FROM_OUR_RUNS.search(text) and stands:
                wrong.append(f"{name}: {claim.metric}")
    assert not wrong, wrong
    assert sum(claim.ours for e in experiments().values() for claim in e.claims) > 20


@pytest.mark.parametrize("change", [{"name": "Two words"}, {"name": "../x"}, {"name": ""}, {"claims": ()}])
def test_bad_experiments_are_refused(change):
    saved = Experiment("x", "X", "Nobody (2000).", (CLAIM,), lambda seed, size: {"x": 1.0})
    with pytest.raises(ValueError, match=r"expected|claims nothing"):
        replace(saved, **change)
