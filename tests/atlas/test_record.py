"""A claim judges as its expected value and tolerance say, and refuses to be untestable."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ranvier.atlas import AtLeast, AtMost, Claim, Experiment

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


@pytest.mark.parametrize("change", [{"name": "Two words"}, {"name": "../x"}, {"name": ""}, {"claims": ()}])
def test_bad_experiments_are_refused(change):
    saved = Experiment("x", "X", "Nobody (2000).", (CLAIM,), lambda seed, size: {"x": 1.0})
    with pytest.raises(ValueError, match=r"expected|claims nothing"):
        replace(saved, **change)
