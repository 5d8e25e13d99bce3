"""The recipe for a layer in docs/extending.md runs, and its layer keeps the laws."""

import re
from pathlib import Path

import numpy as np
import torch

from tests.laws.cells import check_cell, step_and_forward_agree_on_input
from tests.nn.cases import rates

TEXT = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
RECIPE = re.search(r"## A layer\n.*?```python\n(.*?)```", TEXT, re.S)


def test_the_recipe_makes_a_lawful_cell():
    assert RECIPE
    names: dict = {"__name__": "recipe"}
    exec(RECIPE[1], names)
    cell, x = names["LeakyRates"](6, 4, decay=0.8, dtype=torch.float64), rates()
    check_cell(cell, x, list(cell.parameters()))
    step_and_forward_agree_on_input(names["LeakyRates"](6, 4), x.float(), (ValueError, TypeError))
    weight, bias = (p.detach().numpy() for p in cell.linear.parameters())
    h = np.zeros((3, 4))
    for row in x.numpy():
        h = 0.8 * h + 0.2 * np.tanh(row @ weight.T + bias)
    np.testing.assert_allclose(cell(x)[1]["h"].detach().numpy(), h, rtol=1e-12)
