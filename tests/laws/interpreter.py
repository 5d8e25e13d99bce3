"""Oracle of equations: evaluated from their text by Python itself, on NumPy arrays, without the package's parser.

Only for the tests' own models, as text becomes code here.
"""

from __future__ import annotations

import re

import numpy as np


def exprel(x):
    return np.where(np.abs(x) < 1e-8, 1 + x / 2, np.expm1(x) / np.where(x == 0, 1.0, x))


FUNCTIONS = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "tanh": np.tanh,
    "cosh": np.cosh, "sinh": np.sinh, "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "abs": np.abs, "min": np.minimum,
    "max": np.maximum, "clip": np.clip, "where": np.where, "exprel": exprel, "pi": np.pi, "floor": np.floor,
    "ceil": np.ceil, "int": lambda x: np.trunc(x) + 0.0, "__builtins__": {},
}  # fmt: skip


def value(text, values, functions=FUNCTIONS):
    """The value of one expression or condition."""
    return eval(text.replace("^", "**"), functions, values)


def after(text, values, functions=FUNCTIONS):
    """All names once the statements were made, as Python makes them."""
    values = dict(values)
    for line in filter(None, map(str.strip, text.splitlines())):
        name, sign, right = re.fullmatch(r"(\w+)\s*([-+*/]?)=\s*(.*)", line).groups()
        values[name] = value(f"{name} {sign} ({right})" if sign else right, values, functions)
    return values


class Written:
    """The right-hand sides, threshold and reset that an `Equations` has as text."""

    def __init__(self, equations):
        lines = [line.partition(":")[0].strip() for line in equations.text.splitlines()]
        pairs = [re.split(r"\s*=\s*", line, maxsplit=1) for line in lines]
        self.slope_texts = {left[1:-3]: right for left, right in pairs if left.endswith("/dt")}
        self.helpers = [(left, right) for left, right in pairs if not left.endswith("/dt")]
        self.threshold = equations.threshold_text
        self.reset_text = equations.reset_text.replace(";", "\n")
        self.events = [(name, text, body.replace(";", "\n")) for name, (text, body) in equations.event_texts.items()]

    def slopes(self, values, functions=FUNCTIONS):
        """d/dt of every variable, without noise unless `xi` has a value."""
        values, left = {"xi": 0.0, **values}, list(self.helpers)
        while left:  # helpers may use helpers
            waiting = []
            for name, text in left:
                try:
                    values[name] = value(text, values, functions)
                except NameError:
                    waiting.append((name, text))
            if len(waiting) == len(left):
                raise NameError(f"unknown names in {waiting}")
            left = waiting
        return {name: value(text, values, functions) for name, text in self.slope_texts.items()}
