"""Running: mutants are really run, results are stored whole, finished ones are not run again."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ranvier.atlas import Claim, get, judge, register, run


def test_judge_runs_each_claim_and_its_mutant(demo):
    result = judge(demo, seed=3)
    by_text = {claim["text"]: claim for claim in result["claims"]}
    rate = by_text["The mean count is the rate."]
    assert rate["measured"] == pytest.approx(10.0, abs=rate["tolerance"])
    assert rate["mutant_measured"] == pytest.approx(12.0, abs=rate["tolerance"])
    assert rate["tolerance"] == pytest.approx(4 * (10 / 2000) ** 0.5)
    assert [(c["verdict"], c["mutant_verdict"]) for c in result["claims"]] == [
        ("reproduced", "refuted"),
        ("reproduced", "refuted"),
        ("reproduced", "refuted"),
        ("refuted", "refuted"),
        ("untested", "untested"),
    ]


def test_equal_mutants_are_measured_once(demo):
    calls = []

    def measure(seed, size, **changes):
        calls.append(changes)
        return {"x": 2.0 if changes else 1.0}

    claim = Claim("One.", "p. 1", "x", 1.0, 0.1, "exact", {"to": 2})
    judge(replace(demo, claims=(claim, claim), measure=measure, pictures={}))
    assert calls == [{}, {"to": 2}]


def test_a_metric_that_is_not_finite_is_an_error_but_a_mutants_is_a_failure(demo):
    claim = Claim("One.", "p. 1", "x", 1.0, 0.1, "exact", {"to": float("nan")})
    stored = judge(replace(demo, claims=(claim,), measure=lambda seed, size, to=1.0: {"x": to}))["claims"][0]
    assert (stored["verdict"], stored["mutant_verdict"]) == ("reproduced", "refuted")
    assert stored["mutant_measured"] == "not finite"
    with pytest.raises(ValueError, match="returned x = inf"):
        judge(replace(demo, claims=(claim,), measure=lambda seed, size, to=float("inf"): {"x": to}))


def test_finished_ones_are_skipped_until_seed_size_or_source_change(demo, tmp_path):
    def ran(**options):
        return [not result.get("skipped", False) for result in run([demo], tmp_path, **options)]

    assert ran() == [True]
    stored = (tmp_path / "demo" / "result.json").read_bytes()
    assert ran() == [False]
    assert ran(again=True) == [True]
    assert ran(seed=1) == [True]
    assert ran(seed=1, size="full") == [True]
    assert (tmp_path / "demo" / "result.json").read_bytes() != stored
    result = json.loads((tmp_path / "demo" / "result.json").read_text())
    (tmp_path / "demo" / "result.json").write_text(json.dumps({**result, "source": "other"}))
    assert ran(seed=1, size="full") == [True]


def test_an_interrupted_run_leaves_nothing_that_looks_finished(demo, tmp_path):
    def stop(material):
        raise KeyboardInterrupt

    broken = replace(demo, pictures={"first": next(iter(demo.pictures.values())), "second": stop})
    with pytest.raises(KeyboardInterrupt):
        list(run([broken], tmp_path))
    assert not (tmp_path / "demo" / "result.json").exists()
    assert [result.get("skipped") for result in run([demo], tmp_path)] == [None]


def test_parallel_equals_serial_and_a_broken_one_does_not_stop_the_others(demo, tmp_path):
    def broken(seed, size, **changes):
        raise ValueError("no such current")

    chosen = [demo, replace(demo, name="broken", measure=broken), replace(demo, name="third")]
    parallel = {result["name"]: result for result in run(chosen, tmp_path / "a", jobs=2)}
    serial = {result["name"]: result for result in run(chosen, tmp_path / "b", jobs=1)}
    assert parallel["broken"] == {"name": "broken", "error": "ValueError: no such current"}
    for name in ("demo", "third"):
        assert parallel[name]["claims"] == serial[name]["claims"]
    assert (tmp_path / "a" / "third" / "1.svg").read_bytes().startswith(b"<?xml")
    assert not (tmp_path / "a" / "broken").exists()


def test_registry_refuses_duplicates_and_names_the_nearest(demo):
    register(demo)
    with pytest.raises(ValueError, match="'demo' twice"):
        register(replace(demo, title="Another"))
    with pytest.raises(ValueError, match="already has an experiment 'demo'"):
        register(replace(demo, measure=judge))
    with pytest.raises(ValueError, match=r"expected one of .*: did you mean demo"):
        get("dmeo")
