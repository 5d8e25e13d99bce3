"""Surrogate gradients of the spike: a step function forward, a smooth slope backward.

Neftci, Mostafa & Zenke 2019; Eshraghian et al. 2023. `width` is in the unit of the argument, mV for a
membrane: the slope falls off over about that distance from threshold. Slopes are 1/width at threshold.
Each slope is a formula, from which torch and the compiled loops derive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

if TYPE_CHECKING:
    import sympy as sp


def _step(distance: Tensor, strict: bool) -> Tensor:
    return (distance > 0 if strict else distance >= 0).to(distance.dtype)


def _forward_mode_is_off() -> bool:
    return torch.autograd.forward_ad._current_level < 0


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, distance: Tensor, slope: Callable[[Tensor], Tensor], strict: bool) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.slope = slope
        return _step(distance, strict)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (distance,) = ctx.saved_tensors
        return grad * ctx.slope(distance), None, None


class _TransformedStep(torch.autograd.Function):
    """`_Step` for torch.func's transforms and forward-mode gradients, which ask for a context set up apart: 15 µs a
    call more."""

    generate_vmap_rule = True

    @staticmethod
    def forward(distance: Tensor, slope: Callable[[Tensor], Tensor], strict: bool) -> Tensor:  # type: ignore[override]
        return _step(distance, strict)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        distance, ctx.slope, _ = inputs
        ctx.save_for_backward(distance)
        ctx.save_for_forward(distance)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *others: None) -> Tensor:  # type: ignore[override]
        (distance,) = ctx.saved_tensors
        return tangent * ctx.slope(distance)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (distance,) = ctx.saved_tensors
        return grad * ctx.slope(distance), None, None


@dataclass(frozen=True)
class Surrogate:
    """Base: `slope(distance)` replaces the derivative of the step at `distance` above threshold.

    One of your own either has a `formula`, the slope at width 1 as text in x, and then runs compiled too:

        class Cauchy(Surrogate):
            formula = "1/(1 + x**2)"

    (or `Formula("1/(1 + x**2)")`), or overrides `slope`, and then runs in plain torch.
    """

    width: float = 1.0
    formula: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if not self.width > 0:
            raise ValueError(f"width is {self.width}; expected a positive number")

    def slope(self, distance: Tensor) -> Tensor:
        """The slope at `distance`, of its shape; 1/width of the formula at distance/width."""
        if not self.formula:
            raise NotImplementedError(
                f"{type(self).__name__} has neither a formula nor a slope; expected one of them: define `formula` "
                "or `slope`"
            )
        _prepare(self.formula)
        return _SLOPES[self.formula](x=distance / self.width)["slope"] / self.width

    def __call__(self, distance: Tensor, strict: bool = False) -> Tensor:
        """1 where distance >= 0 (`strict`: > 0), else 0."""
        if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
            return self._followed(distance, strict)
        if not (distance.requires_grad or torch._C._are_functorch_transforms_active()) and _forward_mode_is_off():
            return _step(distance, strict)
        transformed = torch._C._are_functorch_transforms_active() or not _forward_mode_is_off()
        return (_TransformedStep if transformed else _Step).apply(distance, self.slope, strict)

    def _followed(self, distance: Tensor, strict: bool) -> Tensor:
        """The step in operations of torch alone, for compilers: zero is added, with the slope as its gradient."""
        y = _step(distance, strict)
        if not (torch.is_grad_enabled() and distance.requires_grad):
            return y
        zero = distance - distance.detach()
        return y + zero * self.slope(distance.detach())


class ArcTan(Surrogate):
    """1/(1 + (π x/2)²) (Fang et al. 2021)."""

    formula = "1/(1 + (pi/2*x)**2)"


class FastSigmoid(Surrogate):
    """1/(1 + |x|)² (Zenke & Ganguli 2018)."""

    formula = "1/(1 + abs(x))**2"


class Triangle(Surrogate):
    """max(0, 1 − |x|) (Bellec et al. 2018)."""

    formula = "max(0, 1 - abs(x))"


class Gaussian(Surrogate):
    """exp(−x²/2) (Yin et al. 2021, without its negative lobes)."""

    formula = "exp(-x**2/2)"


class MultiGaussian(Surrogate):
    """A Gaussian with negative lobes, scaled to 1 at threshold (Yin et al. 2021).

    The paper's (1 + h) 𝒩(x; 0, s) − h 𝒩(x; s, 6 s) − h 𝒩(x; −s, 6 s), with h = 0.15 and s = 1.
    """

    formula = "(1.15*exp(-x**2/2) - 0.025*(exp(-(x - 1)**2/72) + exp(-(x + 1)**2/72)))/(1.15 - 0.05*exp(-1/72))"


class SigmoidSlope(Surrogate):
    """1/cosh²(x): the derivative of the logistic function of 2 x, scaled to 1 at threshold (Neftci et al. 2019)."""

    formula = "1 - tanh(x)**2"


class ExponentialSlope(Surrogate):
    """exp(−|x|) (Shrestha & Orchard 2018)."""

    formula = "exp(-abs(x))"


class StraightThrough(Surrogate):
    """1 within the width, 0 beyond (Bengio et al. 2013; clipped)."""

    formula = "where(abs(x) <= 1, 1, 0)"


@dataclass(frozen=True, init=False)
class Formula(Surrogate):
    """A slope of your own, as text in x = distance/width, with the functions that equations may use.

    Raises ValueError for text that is no arithmetic, or has other names than x.
    """

    formula: str = ""  # type: ignore[misc]

    def __init__(self, formula: str, width: float = 1.0) -> None:
        object.__setattr__(self, "formula", formula)
        object.__setattr__(self, "width", width)
        self.__post_init__()
        slope_formula(formula)


@lru_cache
def slope_formula(text: str) -> sp.Expr:
    """A slope as SymPy, of the symbol x."""
    import sympy as sp

    from ranvier.equations import parse, symbol

    slope = parse(text)
    if not isinstance(slope, sp.Expr) or slope.free_symbols - {symbol("x")}:
        raise ValueError(f"the slope is {text!r}; expected a formula in x alone, such as '1/(1 + x**2)'")
    return slope


_SLOPES: dict[str, Callable[..., dict[str, Any]]] = {}


def _prepare(text: str) -> bool:
    """Make the slope of a formula in torch, once a process; torch.compile calls this and does not look inside."""
    if text not in _SLOPES:
        from ranvier.equations.printing import torch_function

        _SLOPES[text] = torch_function({"slope": slope_formula(text)})
    return True


# what torch.compiler.assume_constant_result sets, which imports the whole compiler for it
_prepare._dynamo_marked_constant = True  # type: ignore[attr-defined]
