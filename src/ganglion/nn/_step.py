"""One step of a cell as equations in order: evaluated by torch as they stand, and printed, with their
adjoint, as compiled loops (`_kernels`). Two-term sums only: then every path rounds alike, to the last bit."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

_NAME = re.compile(r"[A-Za-z_]\w*")
_FUNCTIONS = frozenset({"spike", "detach"})


@dataclass(frozen=True)
class Step:
    """`equations` are (name, expression) in order, of the input `x`, states, parameters and earlier names.

    `states` maps each state's name to the name of its value after the step. `spike(d)` is 1 where d >= 0 and
    has the surrogate's slope; `detach(y)` is y without its gradient; both stand alone on their line.
    """

    equations: tuple[tuple[str, str], ...]
    states: tuple[tuple[str, str], ...]
    output: str

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Names that no equation, state or input defines, in order of use."""
        known = {name for name, _ in self.equations} | {name for name, _ in self.states} | {"x"} | _FUNCTIONS
        used = (name for _, text in self.equations for name in _NAME.findall(text))
        return tuple(dict.fromkeys(name for name in used if name not in known))

    @cached_property
    def evaluate(self) -> Callable[..., tuple[Tensor, dict[str, Tensor]]]:
        """f(spike, x, **states and parameters) -> (y, states after the step), in torch."""
        arguments = ", ".join([name for name, _ in self.states] + list(self.parameters))
        lines = [f"    {name} = {text}" for name, text in self.equations]
        after = ", ".join(f"{name!r}: {new}" for name, new in self.states)
        lines.append(f"    return {self.output}, {{{after}}}")
        source = f"def f(spike, x, {arguments}):\n" + "\n".join(lines)
        namespace: dict[str, Any] = {"detach": lambda y: y.detach()}
        exec(source, namespace)  # the package's own equations, never a user's text
        return namespace["f"]
