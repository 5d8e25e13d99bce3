"""The recipe for a layer in docs/extending.md runs, and its layer keeps the laws."""

import re
from pathlib import Path

import numpy as np
import torch

from tests.laws.cells import check_cell, step_and_forward_agree_on_input
from tests.nn.cases import rates
from tests.nn.plain import numbers

TEXT = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
RECIPE, ORACLE = re.findall(r"```python\n(.*?)```", TEXT.split("## A layer\n")[1].split("\n## ")[0], re.S)


def test_the_recipe_makes_a_lawful_cell():
    names: dict = {"__name__": "recipe", "np": np, "numbers": numbers}
    exec(RECIPE + ORACLE, names)
    cell, x = names["LeakyRates"](6, 4, decay=0.8, dtype=torch.float64), rates()
    check_cell(cell, x, list(cell.parameters()))
    step_and_forward_agree_on_input(names["LeakyRates"](6, 4), x.float(), (ValueError, TypeError))
    np.testing.assert_allclose(cell(x)[0].detach().numpy(), names["leaky_rates"](cell, x.numpy()), rtol=1e-12)
