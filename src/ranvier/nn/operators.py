"""Compiled loops as custom operators of torch: what torch.compile takes as they are, where it follows all else.

Loops are nodes of autograd (`torch.autograd.Function`) that take addresses. A compiler must not follow them; it gets
an operator that runs the same functions, the forward loop once more before the way back, for nothing but its inputs is
kept between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch import library as custom

from ranvier.codegen.calls import addressable

#: names, numbers and whole numbers: an operator takes tensors and these
Options = tuple[list[str], list[float], list[int]]
_LIBRARY = custom.Library("ranvier", "DEF")
_OPTIONS = "str[] names, float[] numbers, int[] counts"


def compiling() -> bool:
    """Whether torch.compile follows. torch.export does not count: what it saves runs where there are no operators of
    ours."""
    return torch.compiler.is_compiling() and not torch.compiler.is_exporting()


def loops_apply(x: Tensor, others: Sequence[Tensor], devices: tuple[str, ...] = ("cpu",)) -> bool:
    """Whether there are loops for x and what goes with it: by their addresses, or as an operator."""
    return (
        x.device.type in devices
        and (compiling() or addressable(x, *others))
        and x.dtype in (torch.float32, torch.float64)
        and all(t.dtype == x.dtype and t.device == x.device for t in others)
        and x.numel() > 0
    )


def first_order(backward: Callable[..., Any]) -> Callable[..., Any]:
    """A backward in compiled loops, which no graph follows: refuses where gradients of gradients are requested, or
    several at once by a transform.

    torch's once_differentiable would leave them out without a word where torch.autograd.grad asks for some.
    """

    @wraps(backward)
    def inner(ctx: Any, *gradients: Tensor | None) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "create_graph is True; expected False, as compiled loops give no gradients of gradients: make "
                "the layers with fused=False for them"
            )
        if not addressable(*(g for g in gradients if g is not None)):
            raise RuntimeError(
                "there is a transform or a tracer around the backward pass of compiled loops, which it cannot "
                "follow; expected none: make the layers with fused=False for it"
            )
        return backward(ctx, *gradients)

    return inner


class _Context:
    """What a `torch.autograd.Function` is given by autograd."""

    saved_tensors: tuple[Tensor, ...] = ()

    def __init__(self, needed: Sequence[bool]) -> None:
        self.needs_input_grad = tuple(needed)

    def save_for_backward(self, *tensors: Tensor) -> None:
        self.saved_tensors = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Gradients that nobody requested are None in any case."""


def operator(
    name: str,
    function: type[torch.autograd.Function],
    arguments: Callable[[Options, bool], tuple[Any, ...]],
    shapes: Callable[[Sequence[Tensor], Options], list[tuple[int, ...]]],
) -> Callable[..., list[Tensor]]:
    """The operator ranvier::name(tensors, names, numbers, counts) of a node of autograd.

    arguments(options, graph) are what `function.forward` takes before its tensors, graph: whether the way back
    follows; shapes(tensors, options) those of its outputs, which are of the first tensor's type and device.
    """

    def forward(tensors: list[Tensor], *options: Any) -> list[Tensor]:
        with torch.no_grad():
            out = function.forward(_Context([False] * 99), *arguments(_stripped(options), False), *tensors)  # type: ignore[arg-type]
        return [t.contiguous() for t in (out if isinstance(out, tuple) else (out,))]

    def backward(
        tensors: list[Tensor], gradients: list[Tensor | None], needed: list[bool], *options: Any
    ) -> list[Tensor]:
        first = arguments(_stripped(options), True)
        ctx = _Context([False] * len(first) + list(needed))
        with torch.no_grad():
            function.forward(ctx, *first, *tensors)
            by_input = function.backward(ctx, *gradients)[len(first) :]
        pairs = [(t, g) for t, g, needs in zip(tensors, by_input, needed, strict=True) if needs]
        return [torch.zeros_like(t).contiguous() if g is None else g.contiguous() for t, g in pairs]

    def forward_shapes(tensors: list[Tensor], *options: Any) -> list[Tensor]:
        return [tensors[0].new_empty(shape) for shape in shapes(tensors, _stripped(options))]

    def backward_shapes(tensors: list[Tensor], gradients: Any, needed: list[bool], *options: Any) -> list[Tensor]:
        return [t.new_empty(t.shape) for t, needs in zip(tensors, needed, strict=True) if needs]

    back = f"{name}_backward"
    _LIBRARY.define(f"{name}(Tensor[] tensors, {_OPTIONS}) -> Tensor[]")
    _LIBRARY.define(f"{back}(Tensor[] tensors, Tensor?[] gradients, bool[] needed, {_OPTIONS}) -> Tensor[]")
    for label, run, fake in ((name, forward, forward_shapes), (back, backward, backward_shapes)):
        custom.impl(f"ranvier::{label}", ("cpu", "cuda"), run, lib=_LIBRARY)
        custom.register_fake(f"ranvier::{label}", fake, lib=_LIBRARY)

    def keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        tensors, *ctx.options = inputs
        ctx.save_for_backward(*tensors)

    def gradients(ctx: Any, cotangents: Sequence[Tensor | None]) -> tuple[Any, ...]:
        needed = list(ctx.needs_input_grad[0])
        run = getattr(torch.ops.ranvier, back)
        by_input = iter(run(list(ctx.saved_tensors), list(cotangents), needed, *ctx.options))
        return [next(by_input) if needs else None for needs in needed], None, None, None

    custom.register_autograd(f"ranvier::{name}", gradients, setup_context=keep, lib=_LIBRARY)
    run = getattr(torch.ops.ranvier, name)
    # with a first entry each: torch takes an empty list for one of tensors
    return lambda tensors, names=(), numbers=(), counts=(): run(tensors, ["", *names], [0.0, *numbers], [0, *counts])


def _stripped(options: Any) -> Options:
    return tuple(list(each[1:]) for each in options)  # type: ignore[return-value]


__all__ = ["Options", "compiling", "first_order", "loops_apply", "operator"]
