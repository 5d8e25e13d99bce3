"""Every claim in the atlas holds unless listed here as refuted, and fails under its mutant; every picture is laid out
and drawn (what writes the file is the same for all: test_run.py, test_site.py).

Mutants say whether a claim can fail, which changes with the entry: those of entries that are as they were when their
mutants were last judged (judged.py) are long.
"""

from __future__ import annotations

import matplotlib
import pytest

from ranvier.atlas import Experiment, Film, experiments
from ranvier.atlas._canvas import SETTINGS
from tests.atlas.judged import changed, survivors

REFUTED: set[tuple[str, str]] = {  # (experiment, metric): what the paper says and we do not find
    ("brunel", "cv_ai"),  # 0.40, as in Brian2, where white-noise theory says 0.675
    ("facets", "gain_naturalness"),  # −0.005: on digits of 8 × 8 bare ascent leaves the judge as sure
    ("wide_deep", "gain_third"),  # 0.04: of stub judges a third layer averages once more
    ("neuroformer", "over_glm"),  # −0.3: a linear model with histories is nearly the simulated cells' law
    ("neuron_paths", "drop_gradient"),  # 0.79: layerwise integrated gradients choose what costs more
}
OPEN: set[tuple[str, str]] = {  # verdicts at the small size that differ between types of processor
    ("milan", "gain_reranking"),  # −0.003 and above 0: with ten words captions are as good as reranked ones
}


def entries(*, mutants: bool) -> list:
    fresh = changed() if mutants else ()
    return [
        pytest.param(e, id=f"{e.group}-{n}", marks=[pytest.mark.long] if mutants and n not in fresh else [])
        for n, e in experiments().items()
    ]


@pytest.mark.parametrize("experiment", entries(mutants=False))
def test_claims(experiment: Experiment):
    material = experiment.measure(0, "small")
    with matplotlib.rc_context(SETTINGS):
        for draw in experiment.pictures.values():
            picture = draw(material)
            picture.gif() if isinstance(picture, Film) else picture.draw_without_rendering()
    for claim in experiment.claims:
        verdict, place = claim.verdict(material), (experiment.name, claim.metric)
        expected = "refuted" if place in REFUTED else "reproduced"
        assert verdict in (expected, "untested") or place in OPEN, (claim, material[claim.metric])
        untested = verdict == "untested"
        assert claim.only or not untested, f"it is not measured here, and `only` does not say what it takes: {claim}"
        assert untested or "full size" not in claim.only, f"it is measured here; expected no `only`: {claim}"


@pytest.mark.parametrize("experiment", entries(mutants=True))
def test_mutants(experiment: Experiment):
    assert not survivors(experiment)
