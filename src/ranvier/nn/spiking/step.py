"""One step of a cell as equations in order: evaluated by torch as they stand, and printed, with their
adjoint, as compiled loops (`_kernels`)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

if TYPE_CHECKING:  # its import takes longer than that of all layers; most need it for gradients only
    import sympy as sp

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
    _by_key: ClassVar[dict[str, Step]] = {}

    @staticmethod
    def of(key: str) -> Step:
        """The step whose `key` this is, of those made in this process."""
        return Step._by_key[key]

    @cached_property
    def key(self) -> str:
        """A name by which operators know the step: equal ones have the same, in every process."""
        rights = [right if isinstance(right, str) else _tree(right) for _, right in self.equations]
        names = [name for name, _ in self.equations]
        content = repr((names, rights, self.states, self.output, self.input, self.strict))
        key = hashlib.sha256(content.encode()).hexdigest()[:24]
        Step._by_key[key] = self
        return key

    def __getstate__(self) -> dict[str, Any]:
        # what is cached holds a function made by exec, which cannot be pickled
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Names that no equation, state or input defines, in order of use."""
        known = {name for name, _ in self.equations} | {name for name, _ in self.states} | {self.input}
        used = (name for _, right in self.equations for name in names_in(right))
        return tuple(dict.fromkeys(name for name in used if name not in known))

    @property
    def is_text(self) -> bool:
        """Whether no equation needs SymPy."""
        return all(isinstance(right, str) for _, right in self.equations)

    @cached_property
    def evaluate(self) -> Callable[..., tuple[Tensor, dict[str, Tensor]]]:
        """f(surrogate, input, **states and parameters) -> (y, states after the step), in torch."""
        arguments = ", ".join([name for name, _ in self.states] + list(self.parameters))
        lines = []
        for name, right in self.equations:
            text = right if isinstance(right, str) else _in_torch(right)
            text = _CALL.sub(lambda m: f"_{m[1]}({m[2]})", text).replace("_spike(", "_spike(_surrogate, ")
            lines.append(f"    {name} = {text}")
        after = ", ".join(f"{name!r}: {new}" for name, new in self.states)
        if self.is_text:
            lines.append(f"    return {self.output}, {{{after}}}")
        else:  # a choice between two numbers is float64, whatever the precision requested
            lines.append(f"    return {self.output}.to({self.input}.dtype), _like({{{after}}}, {self.input})")
        source = f"def f(_surrogate, {self.input}, {arguments}):\n" + "\n".join(lines)
        namespace: dict[str, Any] = ({} if self.is_text else _torch_names()) | {
            "_detach": lambda y: y.detach(),
            "_spike": lambda surrogate, d: surrogate(d, self.strict),
            "_like": lambda values, x: {name: value.to(x.dtype) for name, value in values.items()},
        }
        exec(source, namespace)  # the package's own text, or printed from a SymPy tree
        return namespace["f"]


def call_of(right: str | sp.Expr) -> tuple[str, str] | None:
    """("spike", "d") of "spike(d)", and the like of detach; None of any other right-hand side."""
    match = _CALL.fullmatch(right) if isinstance(right, str) else None
    return (match[1], match[2]) if match else None


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
        from ranvier.equations import parse

        return parse(right)
    return right


def kernel_text(right: str | sp.Expr, strict: bool) -> str:
    """A right-hand side in the compiled loops' language."""
    if call := call_of(right):
        kind, name = call
        return f"_one if {name} {'>' if strict else '>='} _zero else _zero" if kind == "spike" else name
    if isinstance(right, str):
        return right
    from ranvier.codegen.printing import KernelPrinter

    return KernelPrinter().doprint(right)


def _in_torch(right: sp.Expr) -> str:
    from ranvier.equations.printing import TorchPrinter

    return TorchPrinter().doprint(right)


def _torch_names() -> dict[str, Any]:
    from ranvier.equations.printing import torch_namespace

    return torch_namespace()


def _tree(right: sp.Expr) -> str:
    """A right-hand side with all digits of its numbers."""
    from sympy import srepr

    return srepr(right)
