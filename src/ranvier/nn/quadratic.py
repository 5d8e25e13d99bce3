"""Quadratic neurons, and how to train them: ReLinear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ranvier.nn.checks import require_tensor

_STARTS = ("relinear", "random")


class Quadratic(nn.Module):
    """Neurons of second order (Fan et al. 2021, arXiv 2110.06081):

        y = (w_r x + b_r)(w_g x + b_g) + w_b x² + c,

    three linear or convolutional maps, `reference` (w_r, b_r), `gate` (w_g, b_g) and `power` (w_b, c). Use
    `QuadraticLinear` or `QuadraticConv2d`.

    start : "relinear": w_g = w_b = 0, b_g = 1, c = 0, so that the layer begins as its linear twin; "random": the
        weights of all three normal with variance 2/fan-in (He et al. 2015), without biases, from which deep networks
        diverge.
    """

    def __init__(self, make: Callable[[], nn.Module], start: str) -> None:
        super().__init__()
        if start not in _STARTS:
            raise ValueError(f"start is {start!r}; expected one of {', '.join(_STARTS)}")
        self.reference, self.gate, self.power = make(), make(), make()
        if start == "relinear":
            self.relinear()
            return
        for part in (self.reference, self.gate, self.power):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")  # type: ignore[arg-type]
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]

    def relinear(self) -> None:
        """Set the quadratic parts so that the layer is `reference` alone."""
        for part in (self.gate, self.power):
            nn.init.zeros_(part.weight)  # type: ignore[arg-type]
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]
        nn.init.ones_(self.gate.bias)  # type: ignore[arg-type]

    def quadratic_parameters(self) -> list[nn.Parameter]:
        """w_g, b_g, w_b, c."""
        return [*self.gate.parameters(), *self.power.parameters()]

    def forward(self, x: Tensor) -> Tensor:
        """x -> y, of the shapes of the plain layer of the same sizes."""
        require_tensor(x)
        return torch.addcmul(self.power(x * x), self.reference(x), self.gate(x))


class QuadraticLinear(Quadratic):
    """`Quadratic` on features: x (..., in_features) -> (..., out_features).

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> layer = rv.nn.QuadraticLinear(3, 2)
    >>> layer(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self, in_features: int, out_features: int, *, start: str = "relinear",
        device: torch.device | str | None = None, dtype: torch.dtype | None = None,
    ) -> None:  # fmt: skip
        super().__init__(lambda: nn.Linear(in_features, out_features, device=device, dtype=dtype), start)


class QuadraticConv2d(Quadratic):
    """`Quadratic` on images: x (B, C, H, W); options as of nn.Conv2d.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> rv.nn.QuadraticConv2d(1, 2, 3)(torch.zeros(1, 1, 5, 5)).shape
    torch.Size([1, 2, 3, 3])
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, int], *, start: str = "relinear",
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(lambda: nn.Conv2d(in_channels, out_channels, kernel_size, **options), start)


def quadratic_groups(
    model: nn.Module, lr: float, quadratic_lr: float, *, shrinkage: float = 0.0
) -> list[dict[str, Any]]:
    """ReLinear's parameter groups, for any torch optimizer: quadratic terms learn slower than all else.

    lr, quadratic_lr : learning rates; the paper's are 0.1 and 1e-5 or so for deep networks.
    shrinkage : weight decay of the quadratic group, the paper's alternative.
    Raises ValueError for a model without quadratic layers.

    Examples
    --------
    >>> import ranvier as rv
    >>> groups = rv.nn.quadratic_groups(rv.nn.QuadraticLinear(3, 2), lr=0.1, quadratic_lr=0.001)
    >>> sorted(group["lr"] for group in groups)
    [0.001, 0.1]
    """
    slow = [p for m in model.modules() if isinstance(m, Quadratic) for p in m.quadratic_parameters()]
    if not slow:
        raise ValueError("there is no quadratic layer in the model; expected QuadraticLinear or QuadraticConv2d")
    own = {id(p) for p in slow}
    return [
        {"params": [p for p in model.parameters() if id(p) not in own], "lr": lr},
        {"params": slow, "lr": quadratic_lr, "weight_decay": shrinkage},
    ]


__all__ = ["Quadratic", "QuadraticConv2d", "QuadraticLinear", "quadratic_groups"]
