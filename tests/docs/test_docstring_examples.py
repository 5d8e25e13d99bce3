"""Examples in docstrings: they run as they stand, give what they say and use what they are of; every public name has
one."""

import ast
import doctest
import importlib
import inspect
import re
import sys
from collections.abc import Collection, Iterator, Mapping
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
    return any(has_example(f) for f in returning(value, named, public))


def returning(value: type, names: Collection[str], public: Mapping[str, object]) -> list[object]:
    """The public functions of these names whose annotation says that they return the class."""
    called = [f for name, f in public.items() if name.rsplit(".", 1)[-1] in names and inspect.isroutine(f)]
    returned = {f: str(inspect.get_annotations(f).get("return", "")) for f in called}
    return [f for f, annotation in returned.items() if value.__name__ in re.findall(r"\w+", annotation)]


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


#: what an example may use without an import
IMPORTED = {"np": np, "rv": surface.ranvier, "torch": torch}


def uses(test: doctest.DocTest, value: object, public: Mapping[str, object]) -> bool:
    """An example that has run names what it is of; if that is a class, it may hold an instance, or call a function that
    returns one."""
    nodes = [node for example in test.examples for node in ast.walk(ast.parse(example.source))]
    names = {getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "name", None) for node in nodes}
    own = {name.rsplit(".", 1)[-1] for name, one in public.items() if one is value} | {getattr(value, "__name__", "")}
    if own & names or not inspect.isclass(value):
        return bool(own & names)
    held = any(isinstance(one, value) for name, one in test.globs.items() if name != "__builtins__")
    return held or bool(returning(value, {str(name) for name in names}, public))


def fault(test: doctest.DocTest, value: object, public: Mapping[str, object]) -> str:
    """What is wrong with a public name's example that has run."""
    if any(example.options.get(doctest.SKIP) for example in test.examples):
        return f"{test.name}: a part of its example is skipped; expected it to run\n"
    return "" if uses(test, value, public) else f"{test.name}: its example is of something else\n"


@pytest.mark.parametrize("part", parts())
def test_the_examples_of_a_part_run(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In an empty folder, so that they may write files of any name. Those of public names know `IMPORTED` alone, as one
    who types them; those of inner ones their module."""
    monkeypatch.chdir(tmp_path)
    prefix = f"ranvier.{part}"
    modules = [name for name in import_all() if name == prefix or name.startswith(f"{prefix}.")]
    finder, runner = doctest.DocTestFinder(exclude_empty=True), doctest.DocTestRunner(verbose=False)
    public = dict(with_docstring())
    homes = {f"{value.__module__}.{value.__qualname__}": value for value in public.values()}
    wrong: list[str] = []
    for name in modules:
        if name not in sys.modules:  # of an optional library that is not there
            continue
        for test in finder.find(importlib.import_module(name), extraglobs=IMPORTED):
            if any(f"{test.name}.".startswith(f"{known}.") for known in homes):
                test.globs = dict(IMPORTED)
            runner.run(test, out=wrong.append, clear_globs=False)
            if test.examples and test.name in homes:
                wrong.append(fault(test, homes[test.name], public))
            if "matplotlib.pyplot" in sys.modules:
                sys.modules["matplotlib.pyplot"].close("all")
    assert runner.tries and not any(wrong), "".join(wrong)


@pytest.mark.parametrize("text, expected", [
    (">>> rv.Equations('dV/dt = -V : mV') is None", ""),
    (">>> x = rv.LIF().equations", ""),
    (">>> x = [1]", "of something else"),
    (">>> x = rv.Equations('dV/dt = -V : mV')  # doctest: +SKIP", "skipped"),
])  # fmt: skip
def test_an_example_of_something_else_is_noticed(text: str, expected: str):
    test = doctest.DocTestParser().get_doctest(text, dict(IMPORTED), "example", None, None)
    doctest.DocTestRunner(verbose=False).run(test, out=lambda _: None, clear_globs=False)
    complaint = fault(test, surface.ranvier.Equations, {})
    assert expected in complaint and bool(expected) == bool(complaint)


def test_examples_can_be_typed_as_they_stand():
    """Every package lies within reach of `import ranvier as rv`: its parent names or imports it."""
    for package in surface.packages():
        parent, _, name = package.rpartition(".")
        if parent in surface.packages():
            source = inspect.getsource(importlib.import_module(parent))
            assert re.search(rf"\b{name}\b", source), f"{parent} does not name {name}; expected rv to reach {package}"
