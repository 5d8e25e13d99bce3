"""Examples in docstrings: they run and give what they say, and every public name has one."""

import doctest
import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs._extensions import surface

from tests.laws.discovery import import_all

#: names still without an example: the list may only shrink
WITHOUT = (Path(__file__).parent / "without_examples.txt").read_text("utf-8").split()


def has_example(value: object) -> bool:
    return ">>>" in (getattr(value, "__doc__", None) or "")


def with_docstring() -> Iterator[tuple[str, object]]:
    """Classes and functions; a table of numbers has no docstring of its own."""
    for package, name, value in surface.public():
        if inspect.isclass(value) or inspect.isroutine(value):
            yield f"{package}.{name}", value


def test_every_public_name_has_an_example():
    """New names need one; a name that got one leaves the list."""
    without = {name for name, value in with_docstring() if not has_example(value)}
    missing, stale = without - set(WITHOUT), set(WITHOUT) - without
    assert not missing, f"no example in the docstring of {', '.join(sorted(missing))}; expected '>>> ...'"
    assert not stale, f"with an example, or gone: strike {', '.join(sorted(stale))} from without_examples.txt"


def test_a_missing_example_is_noticed():
    assert not has_example(type("Bare", (), {"__doc__": "It does something."}))
    assert has_example(type("Shown", (), {"__doc__": "It does something.\n\n>>> 1\n1"}))


def parts() -> list[str]:
    """The first level of the package below which docstrings hold examples."""
    root = Path(surface.ranvier.__file__).parent
    files = [p for p in root.rglob("*.py") if ">>> " in p.read_text("utf-8")]
    return sorted({p.relative_to(root).parts[0].removesuffix(".py") for p in files})


@pytest.mark.parametrize("part", parts())
def test_the_examples_of_a_part_run(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In an empty folder, so that they may write files of any name; `rv` is imported."""
    monkeypatch.chdir(tmp_path)
    prefix = f"ranvier.{part}"
    modules = [name for name in import_all() if name == prefix or name.startswith(f"{prefix}.")]
    finder, runner = doctest.DocTestFinder(exclude_empty=True), doctest.DocTestRunner(verbose=False)
    wrong: list[str] = []
    for name in modules:
        if name in sys.modules:  # not of an optional library that is not there
            for test in finder.find(importlib.import_module(name), extraglobs={"rv": surface.ranvier}):
                runner.run(test, out=wrong.append)
    assert runner.tries and not wrong, "".join(wrong)
