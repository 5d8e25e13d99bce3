"""Every recipe in docs/extending.md runs as it stands."""

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^## (.*?)\n.*?```python\n(.*?)```", TEXT, re.S | re.M))


def test_there_is_a_recipe_for_each_kind():
    kinds = ("neuron", "synapse", "rule", "layer", "energy", "estimator", "learner", "reader")
    assert set(RECIPES) == {*(f"A{'n' * (kind[0] in 'aeiou')} {kind}" for kind in kinds), "An entry of the atlas"}


@pytest.mark.parametrize("kind", RECIPES)
def test_a_recipe_runs(kind):
    exec(compile(RECIPES[kind], f"recipe of {kind}", "exec"), {"__name__": "recipe"})
