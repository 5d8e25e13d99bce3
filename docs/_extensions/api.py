"""The reference, generated from the package: a page for each public package, a section for each name."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

from docs._extensions import docstrings, mathml, surface

from ranvier.equations import Equations
from ranvier.equations.declarations import declared
from ranvier.neurons import Neuron
from ranvier.rules import Rule
from ranvier.synapses import Synapse

#: the end of a sentence, not of an abbreviation
_END = re.compile(r"(?<!\bal)(?<!\beq)(?<!\beqs)(?<!\bsec)(?<!\bpp)(?<!\bvs)(?<!e\.g)(?<!i\.e)\. (?=[A-Z`\"(])")
MODELS = (Neuron, Synapse, Rule)
FOLDER = Path(__file__).parents[1] / "api"


@cache
def homes() -> dict[str, str]:
    """Name -> full name under which it is documented, of every name that means one thing; `rv.`-names too."""
    full: dict[str, set[str]] = {}
    for package, name, value in surface.public():
        home = f"{package}.{name}"
        path = package.removeprefix("ranvier").strip(".")
        short = f"{path}.{name}".strip(".")
        top = getattr(importlib.import_module("ranvier"), name, None)
        for known in {name, short, home, f"rv.{short}", *({f"rv.{name}", f"ranvier.{name}"} if top is value else ())}:
            full.setdefault(known, set()).add(home)
    return {name: next(iter(at)) for name, at in full.items() if len(at) == 1}


def link(name: str) -> str:
    """The full name of what a docstring calls `name`; "" where it is none of ours, or several."""
    return homes().get(name, "")


def summary(value: Any) -> str:
    """The first sentence of a docstring."""
    text = inspect.getdoc(value) or ""
    first = " ".join(text.split("\n\n")[0].split())
    end = _END.search(first)
    return first[: end.start() + 1] if end else first


def heading(text: str, mark: str) -> list[str]:
    return [text, mark * len(text), ""]


def _directive(value: Any, full: str) -> list[str]:
    if inspect.isclass(value):
        return [f".. autoclass:: {full}", "   :members:", "   :show-inheritance:", ""]
    if callable(value):
        return [f".. autofunction:: {full}", ""]
    return [f".. py:data:: {full}", "", f"   ``{str(value)[:200]}``", ""]


def page(package: str) -> str:
    """A package's page: what it is for, a table of its names, and each of them."""
    module = importlib.import_module(package)
    own = [(name, value) for home, name, value in surface.public() if home == package]
    lines = heading(package, "=")
    lines += docstrings.convert((inspect.getdoc(module) or "").splitlines(), link)
    lines += [f".. py:module:: {package}", ""]
    elsewhere = [name for name in surface.names(module) if name not in {n for n, _ in own}]
    if own:
        lines += [".. list-table::", "   :widths: 30 70", "   :class: names", ""]
        for name, value in own:
            lines += [f"   * - :py:obj:`~{package}.{name}`", f"     - {docstrings.inline(summary(value), link)}"]
        lines.append("")
    if elsewhere:
        lines += [".. rubric:: Names that are described elsewhere", ""]
        lines += [", ".join(f":py:obj:`{name} <{_home(getattr(module, name))}>`" for name in elsewhere), ""]
    for name, value in own:
        lines += heading(name, "-") + _directive(value, f"{package}.{name}")
    return "\n".join(lines)


@cache
def _full_names() -> dict[int, str]:
    return {id(value): f"{package}.{name}" for package, name, value in surface.public()}


def _home(value: Any) -> str:
    return _full_names()[id(value)]


def index() -> str:
    """The list of packages."""
    lines = heading("API reference", "=")
    lines += ["Generated from the docstrings of the package. Top-level names such as ``rv.simulate`` are described in "]
    lines += ["the package that defines them; :doc:`ranvier` lists them.", ""]
    lines += [".. list-table::", "   :widths: 30 70", ""]
    for package in surface.packages():
        first = docstrings.inline(summary(importlib.import_module(package)), link)
        lines += [f"   * - :doc:`{package}`", f"     - {first}"]
    lines += ["", ".. toctree::", "   :hidden:", "   :titlesonly:", ""]
    lines += [*(f"   {package}" for package in surface.packages()), ""]
    return "\n".join(lines)


def _equations(kind: type) -> list[str]:
    """The equations of a model as LaTeX, and for a synapse what a spike adds and what input it gives."""
    equations = getattr(kind, "equations", None)
    if not isinstance(equations, Equations):
        return []
    lines = [".. math::", "", *(f"   {line}" for line in mathml.upright(equations.latex()).splitlines()), ""]
    if issubclass(kind, Synapse):
        jumps = ", ".join(f"``{name}`` by ``{size}``" for name, size in kind.jumps.items())
        if jumps:
            lines += [f"A spike of weight 1 moves {jumps}; the input to the neuron is ``{kind.current}`` (mV).", ""]
    return lines


def _parameters(kind: type) -> list[str]:
    """A model's parameters: default, unit, domain and meaning."""
    known = declared(kind)
    if not known:
        return []
    defaults = {f.name: f.default for f in dataclasses.fields(kind)}
    lines = [".. list-table:: Parameters", "   :header-rows: 1", "   :widths: 18 14 10 28 30", ""]
    lines += ["   * - name", "     - default", "     - unit", "     - domain", "     - meaning"]
    for name, parameter in known.items():
        default = defaults[name]
        shown = f"{default:g}" if isinstance(default, int | float) else str(default)
        row = (f"``{name}``", shown, parameter.unit or "\\ ", parameter.domain, parameter.doc or "\\ ")
        lines += [f"   * - {row[0]}", *(f"     - {cell}" for cell in row[1:])]
    return [*lines, ""]


def _process(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    model = what == "class" and issubclass(value, MODELS) and value not in MODELS
    lines[:] = docstrings.convert(list(lines), link, ("Parameters",) * bool(model and declared(value)))
    if model:
        examples = next((k for k, line in enumerate(lines) if line == ".. rubric:: Examples"), len(lines))
        lines[examples:examples] = [*_equations(value), *_parameters(value)]


def _signature(app: Any, what: str, name: str, value: Any, options: Any, signature: str, returns: str) -> Any:
    """Models are called with their parameters, which the table lists."""
    if what == "class" and issubclass(value, MODELS):
        return ("(**parameters)" if declared(value) else "()", "")
    return None


def _generate(app: Any) -> None:
    from ranvier.files.atomic import write_atomic

    FOLDER.mkdir(exist_ok=True)
    pages = {"index": index()} | {package: page(package) for package in surface.packages()}
    for old in FOLDER.glob("*.rst"):
        if old.stem not in pages:
            old.unlink()
    for name, text in pages.items():
        path = FOLDER / f"{name}.rst"
        if not path.exists() or path.read_text("utf-8") != text:  # what is the same is not built again
            write_atomic(path, text)


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", _generate)
    app.connect("autodoc-process-docstring", _process)
    app.connect("autodoc-process-signature", _signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
