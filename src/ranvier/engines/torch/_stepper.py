"""A population's step as functions of tensors, printed from its equations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sympy as sp
from torch import Tensor

from ranvier.engines.step_model import StepModel
from ranvier.equations.printing import torch_function


@dataclass(frozen=True)
class Stepper:
    """A population's functions, printed from its step."""

    model: StepModel
    deliver: Callable[..., dict[str, Tensor]]
    integrate: Callable[..., dict[str, Tensor]]
    distance: Callable[..., dict[str, Tensor]] | None
    strict: bool
    reset: Callable[..., dict[str, Tensor]]
    ceiling: Callable[..., dict[str, Tensor]]


def stepper_of(model: StepModel) -> Stepper:
    match model.threshold:
        case None:
            distance, strict = None, False
        case sp.Ge() | sp.Gt():
            distance = torch_function({"distance": model.threshold.lhs - model.threshold.rhs})
            strict = isinstance(model.threshold, sp.Gt)
        case sp.Le() | sp.Lt():
            distance = torch_function({"distance": model.threshold.rhs - model.threshold.lhs})
            strict = isinstance(model.threshold, sp.Lt)
        case _:
            raise ValueError(
                f"the threshold is {model.threshold}; expected one comparison for the torch engine, such as V >= "
                "V_th"
            )
    return Stepper(
        model,
        torch_function(model.deliver),
        torch_function(model.result, model.statements),
        distance,
        strict,
        torch_function(model.reset),
        torch_function({} if model.ceiling is None else {"ceiling": model.ceiling}),
    )
