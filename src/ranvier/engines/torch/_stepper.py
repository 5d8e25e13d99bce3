"""A population's step as functions of tensors, printed from its equations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sympy as sp
from torch import Tensor

from ranvier.engines.step_model import StepModel
from ranvier.equations.printing import torch_function

#: below 0 in float32 as well
_LEAST = sp.Float(1e-30)


@dataclass(frozen=True)
class Stepper:
    """A population's functions, printed from its step; `events`: conditions ("holds") and what they change."""

    model: StepModel
    deliver: Callable[..., dict[str, Tensor]]
    integrate: Callable[..., dict[str, Tensor]]
    distance: Callable[..., dict[str, Tensor]] | None
    strict: bool
    reset: Callable[..., dict[str, Tensor]]
    events: tuple[tuple[Callable[..., dict[str, Tensor]], Callable[..., dict[str, Tensor]]], ...]
    ceiling: Callable[..., dict[str, Tensor]]


def _distance(condition: sp.Basic) -> sp.Expr:
    """How far a condition is from where it changes, above 0 where it holds: the smallest of conditions that must all
    hold, the largest of alternatives. Raises ValueError for what is no comparison."""
    match condition:
        case sp.Ge() | sp.Gt():
            return condition.lhs - condition.rhs
        case sp.Le() | sp.Lt():
            return condition.rhs - condition.lhs
        case sp.And() | sp.Or():
            parts = [_distance(part) for part in condition.args]
            whole = sp.Min(*parts) if isinstance(condition, sp.And) else sp.Max(*parts)
            # at 0 a strict comparison does not hold: the condition itself decides
            return sp.Piecewise((sp.Max(whole, 0), condition), (sp.Min(whole, -_LEAST), True))
    raise ValueError(
        f"the threshold is {condition}; expected comparisons, joined by 'and' and 'or', such as V >= V_th"
    )


def stepper_of(model: StepModel) -> Stepper:
    distance, strict = None, isinstance(model.threshold, sp.Gt | sp.Lt)
    if model.threshold is not None:
        distance = torch_function({"distance": _distance(model.threshold)})
    return Stepper(
        model,
        torch_function(model.deliver),
        torch_function(model.result, model.statements),
        distance,
        strict,
        torch_function(model.reset),
        tuple((torch_function({"holds": e.condition}), torch_function(e.statements)) for e in model.events),
        torch_function({} if model.ceiling is None else {"ceiling": model.ceiling}),
    )
