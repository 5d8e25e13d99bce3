"""What says how a result is known without the code that it judges: the mark `oracle`, and what it forbids."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import TypeVar

F = TypeVar("F", bound=Callable)

#: names of the package that describe and compute nothing: an oracle may read what it is to judge
DESCRIPTIONS = {"Network", "Tensor", "SpikeTimes", "Poisson", "TimeSeries", "synapses", "Delta", "Review"}


def oracle(function: F) -> F:
    """Marks a function that re-derives a result by other means: it uses nothing of the package (`borrowed`)."""
    return function


def borrowed(tree: ast.Module) -> Iterator[str]:
    """What each function marked `oracle` takes from the package, or from functions beside it that do, as "line: name".

    In a module whose docstring begins with "Oracle", every function counts as marked.
    """
    imported = {
        alias.asname or alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if (node.module if isinstance(node, ast.ImportFrom) and node.module else alias.name).split(".")[0] == "ranvier"
    }
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    whole = (ast.get_docstring(tree) or "").startswith("Oracle")
    waiting = [name for name, node in functions.items() if whole or _marked(node)]
    judged: set[str] = set()
    while waiting:  # an oracle's helpers are oracles
        name = waiting.pop()
        if name in judged:
            continue
        judged.add(name)
        for node in ast.walk(functions[name]):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
                if node.attr not in DESCRIPTIONS:
                    yield f"{node.lineno}: {ast.unparse(node)} in {name}"
            elif isinstance(node, ast.Name) and node.id in imported - {"rv"} - DESCRIPTIONS:
                yield f"{node.lineno}: {node.id} in {name}"
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ranvier"):
                yield f"{node.lineno}: {node.module} in {name}"
            elif isinstance(node, ast.Name) and node.id in functions:
                waiting.append(node.id)


def _marked(node: ast.FunctionDef) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "oracle" for d in node.decorator_list)
