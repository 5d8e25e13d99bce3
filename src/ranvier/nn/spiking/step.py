"""One step of a cell as equations in order: evaluated by torch as they stand, and printed, with their
adjoint, as compiled loops (`_kernels`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import sympy as sp
from torch import Tensor

from ranvier.codegen.printing import KernelPrinter
from ranvier.equations import parse
from ranvier.equations.printing import TorchPrinter, torch_namespace

_NAME = re.compile(r"[A-Za-z_]\w*")
_CALL = re.compile(r"(spike|detach)\((\w+)\)")


@dataclass(frozen=True)
class Step:
    """`equations` are (name, expression) in order, of the input, states, parameters and earlier names.

    An expression is SymPy, or text of + − *. Where all are text of two terms each, torch and the compiled loop
    round alike, to the last bit. `spike(d)` is 1 where d >= 0 (`strict`: d > 0) and has the surrogate's slope;
    `detach(y)` is y without its gradient; both stand alone on their line, as text.
    `states` maps each state's name to the name of its value after the step.
    """

    equations: tuple[tuple[str, str | sp.Expr], ...]
    states: tuple[tuple[str, str], ...]
    output: str
    input: str = "x"
    strict: bool = False

    def __getstate__(self) -> dict[str, Any]:
        # what is cached holds a function made by exec, which cannot be pickled
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Names that no equation, state or input defines, in order of use."""
        known = {name for name, _ in self.equations} | {name for name, _ in self.states} | {self.input}
        used = (name for _, right in self.equations for name in names_in(right))
        return tuple(dict.fromkeys(name for name in used if name not in known))

    @cached_property
    def evaluate(self) -> Callable[..., tuple[Tensor, dict[str, Tensor]]]:
        """f(surrogate, input, **states and parameters) -> (y, states after the step), in torch."""
        arguments = ", ".join([name for name, _ in self.states] + list(self.parameters))
        lines, show = [], TorchPrinter().doprint
        for name, right in self.equations:
            text = right if isinstance(right, str) else show(right)
            text = _CALL.sub(lambda m: f"_{m[1]}({m[2]})", text).replace("_spike(", "_spike(_surrogate, ")
            lines.append(f"    {name} = {text}")
        after = ", ".join(f"{name!r}: {new}" for name, new in self.states)
        if all(isinstance(right, str) for _, right in self.equations):
            lines.append(f"    return {self.output}, {{{after}}}")
        else:  # a choice between two numbers is float64, whatever the precision asked for
            lines.append(f"    return {self.output}.to({self.input}.dtype), _like({{{after}}}, {self.input})")
        source = f"def f(_surrogate, {self.input}, {arguments}):\n" + "\n".join(lines)
        namespace: dict[str, Any] = torch_namespace() | {
            "_detach": lambda y: y.detach(),
            "_spike": lambda surrogate, d: surrogate(d, self.strict),
            "_like": lambda values, x: {name: value.to(x.dtype) for name, value in values.items()},
        }
        exec(source, namespace)  # the package's own text, or printed from a SymPy tree
        return namespace["f"]


def call_of(right: str | sp.Expr) -> tuple[str, str] | None:
    """("spike", "d") of "spike(d)", and the like of detach; None of any other right-hand side."""
    found = _CALL.fullmatch(right) if isinstance(right, str) else None
    return (found[1], found[2]) if found else None


def names_in(right: str | sp.Expr) -> tuple[str, ...]:
    """The names that a right-hand side uses."""
    if call := call_of(right):
        return (call[1],)
    if isinstance(right, str):
        return tuple(dict.fromkeys(_NAME.findall(right)))
    return tuple(sorted(s.name for s in right.free_symbols))


def expression_of(right: str | sp.Expr) -> sp.Expr:
    """A right-hand side as SymPy."""
    if isinstance(right, str):
        return parse(right)
    return right


def kernel_text(right: str | sp.Expr, strict: bool) -> str:
    """A right-hand side in the compiled loops' language."""
    if call := call_of(right):
        kind, name = call
        return f"_one if {name} {'>' if strict else '>='} _zero else _zero" if kind == "spike" else name
    return right if isinstance(right, str) else KernelPrinter().doprint(right)
