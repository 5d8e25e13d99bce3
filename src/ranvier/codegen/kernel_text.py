"""What a kernel's text may hold, checked before it is compiled: arithmetic, loops and this package's own functions."""

from __future__ import annotations

import ast

_MODULES = ("numba", "numpy", "math", "triton", "ranvier")
_FORBIDDEN = frozenset(
    {
        "breakpoint", "compile", "delattr", "eval", "exec", "getattr", "globals", "input", "locals", "open", "setattr",
        "vars",
    }
)  # fmt: skip
_TOP = (ast.Import, ast.ImportFrom, ast.Assign, ast.FunctionDef, ast.Expr)


def require_kernel(text: str) -> None:
    """Raise ValueError where `text` is more than a kernel: a second lock behind the check of every name.

    A kernel imports from numba, NumPy, Triton and this package alone, uses no name with two underscores before it,
    calls no function that runs text or opens files, and defines functions and constants only.
    """
    tree = ast.parse(text)
    for statement in tree.body:
        if not isinstance(statement, _TOP) or (
            isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant)
        ):
            _refuse(ast.unparse(statement))
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=module, level=0):
                modules = [module or ""]
            case ast.ImportFrom():
                modules = [""]
            case _:
                modules = []
        if any(module.split(".")[0] not in _MODULES for module in modules):
            _refuse(ast.unparse(node))
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if name.startswith("__") or name in _FORBIDDEN:
            _refuse(name)


def _refuse(what: str) -> None:
    raise ValueError(f"a kernel's text holds {what[:60]!r}; expected arithmetic alone: this is a fault of ranvier's")


__all__ = ["require_kernel"]
