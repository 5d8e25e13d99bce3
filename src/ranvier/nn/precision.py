"""What a layer's precision loses of what its variables remember for many steps."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ranvier.nn.checks import holds_values

#: largest share of a variable that rounding may take without a warning; float32: 33 500 steps of memory
TOLERANCE = 5e-3


def rounding_loss(steps: float, dtype: torch.dtype) -> float:
    """The largest relative error of a variable that is remembered for so many steps: x ← b x + i, b = 1 − 1/steps.

    With u half the distance of numbers at 1, b is off by up to u/2, the product by u, the sum by u, each in every one
    of the steps that are remembered. Errors met in practice are a tenth of that.
    """
    return 1.25 * torch.finfo(dtype).eps * steps


def steps_remembered(factor: Tensor) -> Tensor:
    """1/(1 − b) of a decay factor b a step; infinite for what does not decay."""
    return 1 / (1 - factor.detach().double().clamp(0, 1))


def warn_of_long_memory(layer: nn.Module, memories: Mapping[str, Tensor | float], dtype: torch.dtype) -> None:
    """Warn, once for each name, of a layer whose variables remember for more steps than its precision allows.

    memories : steps by the name of what sets them; what is infinite is left out.
    """
    if dtype == torch.float64 or torch.compiler.is_compiling():
        return
    known: set[str] = layer.__dict__.setdefault("_known_memories", set())
    for name, memory in memories.items():
        if name in known or (isinstance(memory, Tensor) and not holds_values(memory)):
            continue
        lengths = torch.as_tensor(memory, dtype=torch.float64, device="cpu").detach()
        steps = float(torch.where(lengths.isfinite(), lengths, 0.0).max())
        # numbers of half precision are coarse as such: what they lose within 16 steps is known to whoever chose them
        tolerance = max(TOLERANCE, rounding_loss(16, dtype))
        loss = rounding_loss(steps, dtype)
        if loss > tolerance:
            known.add(name)
            kind = str(dtype).removeprefix("torch.")
            warnings.warn(
                f"{name} of {type(layer).__name__} is a memory of {steps:.3g} steps, over which {kind} may lose up to "
                f"{loss:.1g} of a variable's size; expected at most {steps * tolerance / loss:.3g} steps: "
                "make the layer with dtype=torch.float64, or take longer steps",
                RuntimeWarning,
                stacklevel=3,
            )


__all__ = ["TOLERANCE", "rounding_loss", "steps_remembered", "warn_of_long_memory"]
