"""Examples in docstrings: they run and give what they say, and every public name has one."""

import doctest
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from docs._extensions import surface

from tests.laws.discovery import import_all


def has_example(value: object) -> bool:
    return ">>>" in (getattr(value, "__doc__", None) or "")


def shown_by(value: object, public: Mapping[str, object]) -> bool:
    """Of a class that users do not construct: its docstring names, in backticks, a public function with an example
    whose annotation says that it returns the class."""
    named = re.findall(r"`(\w+)`", getattr(value, "__doc__", None) or "") if inspect.isclass(value) else []
    shown = [f for name, f in public.items() if name.rsplit(".", 1)[-1] in named and inspect.isroutine(f)]
    returned = [str(inspect.get_annotations(f).get("return", "")) for f in shown if has_example(f)]
    return any(value.__name__ in re.findall(r"\w+", annotation) for annotation in returned)


def with_docstring() -> Iterator[tuple[str, object]]:
    """Classes and functions; a table of numbers has no docstring of its own."""
    for package, name, value in surface.public():
        if inspect.isclass(value) or inspect.isroutine(value):
            yield f"{package}.{name}", value


def test_every_public_name_has_an_example():
    public = dict(with_docstring())
    without = sorted(name for name, value in public.items() if not (has_example(value) or shown_by(value, public)))
    assert not without, f"no example in the docstring of {', '.join(without)}; expected '>>> ...'"


def test_a_missing_example_is_noticed():
    assert not has_example(type("Bare", (), {"__doc__": "It does something."}))
    assert has_example(type("Shown", (), {"__doc__": "It does something.\n\n>>> 1\n1"}))


def test_a_result_is_shown_by_the_function_that_returns_it_alone():
    def fit() -> None:
        """>>> 1
        1
        """

    def measure() -> float:
        """>>> 1
        1
        """

    functions: dict[str, object] = {"fit": fit, "measure": measure, "bare": lambda: None}
    fit.__annotations__["return"] = "tuple[Result, float]"
    assert shown_by(type("Result", (), {"__doc__": "What `fit` returns."}), functions)
    for other in ("What fit returns.", "What `measure` returns.", "What `bare` returns.", "What `absent` returns."):
        assert not shown_by(type("Result", (), {"__doc__": other}), functions)
    assert not shown_by(type("Resul", (), {"__doc__": "What `fit` returns."}), functions)


def parts() -> list[str]:
    """The first level of the package below which docstrings hold examples."""
    root = Path(surface.ranvier.__file__).parent
    files = [p for p in root.rglob("*.py") if ">>> " in p.read_text("utf-8")]
    return sorted({p.relative_to(root).parts[0].removesuffix(".py") for p in files})


@pytest.mark.parametrize("part", parts())
def test_the_examples_of_a_part_run(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In an empty folder, so that they may write files of any name; np, rv and torch are imported."""
    monkeypatch.chdir(tmp_path)
    prefix = f"ranvier.{part}"
    modules = [name for name in import_all() if name == prefix or name.startswith(f"{prefix}.")]
    finder, runner = doctest.DocTestFinder(exclude_empty=True), doctest.DocTestRunner(verbose=False)
    imported = {"np": np, "rv": surface.ranvier, "torch": torch}
    wrong: list[str] = []
    for name in modules:
        if name in sys.modules:  # not of an optional library that is not there
            for test in finder.find(importlib.import_module(name), extraglobs=imported):
                runner.run(test, out=wrong.append)
                if "matplotlib.pyplot" in sys.modules:
                    sys.modules["matplotlib.pyplot"].close("all")
    assert runner.tries and not wrong, "".join(wrong)


def test_examples_can_be_typed_as_they_stand():
    """Every package lies within reach of `import ranvier as rv`: its parent names or imports it."""
    for package in surface.packages():
        parent, _, name = package.rpartition(".")
        if parent in surface.packages():
            source = inspect.getsource(importlib.import_module(parent))
            assert re.search(rf"\b{name}\b", source), f"{parent} does not name {name}; expected rv to reach {package}"
