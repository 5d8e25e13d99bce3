"""What describes the package in several places says the same in each."""

import re
import tomllib
from pathlib import Path

import ranvier

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def test_one_version():
    version = PROJECT["version"]
    assert ranvier.__version__ == version
    assert f'version: "{version}"' in (ROOT / "recipe" / "recipe.yaml").read_text("utf-8")
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


def test_the_recipe_needs_what_the_package_needs():
    recipe = (ROOT / "recipe" / "recipe.yaml").read_text("utf-8")
    run = recipe.partition("  run:\n")[2].partition("\n\n")[0]
    needed = dict(line.strip("- ").split() for line in run.splitlines())
    expected = {"python": PROJECT["requires-python"]}
    for requirement in PROJECT["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)(>=[\d.]+)", requirement).groups()
        expected[CONDA.get(name, name)] = bound
    assert needed == expected
