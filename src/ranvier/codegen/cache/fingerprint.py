"""What a compiled function is made of, as bytes: its code, the constants and functions it refers to, their modules."""

from __future__ import annotations

import hashlib
import sys
import types
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic, np.dtype)


def fingerprint(function: Any) -> str | None:
    """A digest that changes whenever the function's machine code may; None where that is unknown.

    It covers the source files, within this package, of every function that is reached from this one by names, and the
    value of every constant: compiled code holds both.
    """
    walk = _Walk()
    try:
        walk.function(function)
    except _Unknown:
        return None
    for name in sorted(walk.modules):
        walk.parts.append((name, _source(sys.modules[name].__file__)))
    return hashlib.sha256(repr(walk.parts).encode()).hexdigest()


def stable(value: Any) -> str:
    """As `repr`, the same in every process: sets are sorted."""
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(stable, value)))}}}"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(stable, value))})"
    if isinstance(value, dict):
        return stable(sorted((str(k), stable(v)) for k, v in value.items()))
    return repr(value)


class _Unknown(Exception):
    pass


class _Walk:
    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.modules: set[str] = set()
        self.done: set[int] = set()

    def function(self, function: Any) -> None:
        if id(function) in self.done:
            return
        self.done.add(id(function))
        self.module(function.__module__, function.__globals__)
        self.parts.append((function.__qualname__, stable(function.__defaults__)))
        names = self.code(function.__code__)
        for name in sorted(names & function.__globals__.keys()):
            self.value(name, function.__globals__[name], names)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self.value(name, cell.cell_contents, names)

    def module(self, name: str, namespace: Any) -> None:
        module = sys.modules.get(name)
        if name.startswith("ranvier.") and module is not None and module.__dict__ is namespace:
            self.modules.add(name)

    def code(self, code: types.CodeType) -> set[str]:
        """Adds the code; the names it uses."""
        names = set(code.co_names)
        constants = stable([c for c in code.co_consts if not isinstance(c, types.CodeType)])
        self.parts.append((code.co_code, constants, code.co_names, code.co_varnames))
        for inner in code.co_consts:
            if isinstance(inner, types.CodeType):
                names |= self.code(inner)
        return names

    def value(self, name: str, value: Any, names: set[str]) -> None:
        if isinstance(value, types.ModuleType):
            if value.__name__.startswith("ranvier"):
                self.module(value.__name__, value.__dict__)
                for attribute in sorted(names & value.__dict__.keys()):
                    self.value(f"{name}.{attribute}", value.__dict__[attribute], names)
        elif isinstance(value, _PLAIN):
            self.parts.append((name, type(value).__name__, repr(value)))
        elif isinstance(value, set | frozenset):
            self.parts.append((name, stable(value)))
        elif isinstance(value, tuple | list):
            for k, item in enumerate(value):
                self.value(f"{name}[{k}]", item, names)
        elif isinstance(value, np.ndarray):
            self.parts.append((name, value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).hexdigest()))
        elif isinstance(value, types.FunctionType):
            self.parts.append((name, value.__module__, value.__qualname__))
            self.inside(value)
        elif (python := getattr(value, "py_func", None) or getattr(value, "_defn", None)) is not None:
            self.parts.append((name, stable(getattr(value, "targetoptions", None))))
            self.inside(python)
        elif isinstance(value, type) or callable(value) or value.__class__.__module__.startswith("numba."):
            # classes, NumPy's and the standard library's functions, numba's types: known by name
            self.parts.append((name, getattr(value, "__qualname__", None) or str(value)))
            module = sys.modules.get(getattr(value, "__module__", None) or "")
            if module is not None:
                self.module(module.__name__, module.__dict__)
        else:
            raise _Unknown(name)

    def inside(self, function: Any) -> None:
        if (function.__module__ or "").startswith("ranvier"):
            self.function(function)


@cache
def translation_sources() -> str:
    """A digest of the translation's own files."""
    from ranvier.codegen import translation

    folder = Path(translation.__file__).parent
    return hashlib.sha256("".join(_source(str(path)) for path in sorted(folder.glob("*.py"))).encode()).hexdigest()


@cache
def _source(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
