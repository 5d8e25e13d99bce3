"""Long short-term memory with spiking output."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ranvier.engines.surrogates import ArcTan, Surrogate
from ranvier.nn.cell import CellState, FixedAttributes, SequenceCell, in_own_precision
from ranvier.nn.checks import require_finite, require_state, require_tensor
from ranvier.nn.domains import POSITIVE, require_sizes
from ranvier.nn.plain_modules import at_every_step, call


class SpikingLSTM(SequenceCell):
    """An LSTM whose hidden state is a membrane that spikes and is reset (snnTorch's SLSTM).

    i, f, g, o = W x + U v + b;  c ← σ(f) c + σ(i) tanh(g);  u = σ(o) tanh(c);  y = 1 where u ≥ threshold;
    v ← u − threshold y. The reset happens in the step of its spike; no gradient passes through the reset's y.

    Parameters
    ----------
    in_features, out_features : sizes; W is `linear`, U is `recurrent`, both nn.Linear with the four gates in the
        order i, f, g, o, as nn.LSTM has them.
    threshold : in (0, 1), since |u| < 1; a neuron with threshold 1 would never spike.
    surrogate : slope of the spike; default ArcTan().

    `forward(x[T, B, in_features], state=None) -> (y[T, B, out_features], state)`; the state is {"v", "c"}, (B,
    out_features). Raises ValueError for wrong shapes, T = 0, values that are not finite, and TypeError for what is no
    tensor.

    >>> y, state = rv.nn.SpikingLSTM(3, 4)(torch.rand(5, 2, 3))
    >>> y.shape, sorted(state)
    (torch.Size([5, 2, 4]), ['c', 'v'])
    """

    FIXED = frozenset({"in_features", "out_features"})
    threshold: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        threshold: float = 0.1,
        surrogate: Surrogate | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        require_sizes(in_features=in_features, out_features=out_features)
        _require_threshold(threshold)
        self.in_features, self.out_features = in_features, out_features
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.register_buffer("threshold", torch.tensor(threshold, **kind))
        self.linear = nn.Linear(in_features, 4 * out_features, **kind)
        self.recurrent = nn.Linear(out_features, 4 * out_features, bias=False, **kind)
        self.surrogate = surrogate or ArcTan()

    def init_state(self, batch: int) -> CellState:
        """Zeros."""
        rest = self.threshold.new_zeros(batch, self.out_features)
        return {"v": rest, "c": rest.clone()}

    @in_own_precision
    def forward(self, x: Tensor, state: CellState | None = None) -> tuple[Tensor, CellState]:
        """x (T, B, in_features) -> y (T, B, out_features) and the state after the last step."""
        self._require_sequence(x, self.threshold)
        require_finite(x)
        state = self.init_state(x.shape[1]) if state is None else state
        require_state(state, dict.fromkeys(("v", "c"), (x.shape[1], self.out_features)), self.threshold)
        return _through_time(self, x, state)

    def extra_repr(self) -> str:
        return (
            f"{self.in_features}, {self.out_features}, threshold={float(self.threshold):g}, surrogate={self.surrogate}"
        )


class SpikingConvLSTM(FixedAttributes):
    """`SpikingLSTM` on images, whose gates are convolutions (snnTorch's SConv2dLSTM; Shi et al. 2015).

    i, f, g, o = W ∗ x + U ∗ v + b, four maps a channel; the rest as of `SpikingLSTM`. Both convolutions have stride 1
    and keep the size of the image.

    Parameters
    ----------
    in_channels, out_channels, kernel_size : of nn.Conv2d; the kernel's size is odd.
    size : (height, width) of the images.
    threshold, surrogate : as of `SpikingLSTM`.

    `forward(x[T, B, in_channels, height, width], state=None) -> (y[T, B, out_channels, height, width], state)`; the
    state is {"v", "c"} of y[0]'s shape. Raises what `SpikingLSTM` raises.

    >>> y, state = rv.nn.SpikingConvLSTM(2, 3, 3, size=(8, 6))(torch.rand(5, 2, 2, 8, 6))
    >>> y.shape
    torch.Size([5, 2, 3, 8, 6])
    """

    FIXED = frozenset({"in_channels", "out_channels", "size"})
    threshold: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        size: tuple[int, int],
        threshold: float = 0.1,
        surrogate: Surrogate | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(size, tuple | list) or len(size) != 2:
            raise TypeError(f"size is {size!r:.40}; expected (height, width) of the images")
        height, width = size
        require_sizes(
            in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, height=height, width=width
        )
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}; expected an odd number, which keeps the image's size")
        _require_threshold(threshold)
        self.in_channels, self.out_channels, self.size = in_channels, out_channels, (height, width)
        kind: dict[str, Any] = {"padding": kernel_size // 2, "device": device, "dtype": dtype}
        self.register_buffer("threshold", torch.tensor(threshold, device=device, dtype=dtype))
        self.conv = nn.Conv2d(in_channels, 4 * out_channels, kernel_size, **kind)
        self.recurrent = nn.Conv2d(out_channels, 4 * out_channels, kernel_size, bias=False, **kind)
        self.surrogate = surrogate or ArcTan()

    def init_state(self, batch: int) -> CellState:
        """Zeros."""
        rest = self.threshold.new_zeros(batch, self.out_channels, *self.size)
        return {"v": rest, "c": rest.clone()}

    def step(self, state: CellState, x: Tensor) -> tuple[CellState, Tensor]:
        """One step: x (B, in_channels, height, width) -> (state, y). Raises what `forward` raises."""
        require_tensor(x)
        if x.ndim != 4:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (B, {self.in_channels}, {_text(self.size)})")
        y, state = self(x[None], state)
        return state, y[0]

    @in_own_precision
    def forward(self, x: Tensor, state: CellState | None = None) -> tuple[Tensor, CellState]:
        """x (T, B, in_channels, height, width) -> y and the state after the last step."""
        require_tensor(x)
        if x.ndim != 5 or 0 in x.shape[:1] or x.shape[2:] != (self.in_channels, *self.size):
            raise ValueError(
                f"x has shape {tuple(x.shape)}; expected (T, B, {self.in_channels}, {_text(self.size)}) with T > 0"
            )
        require_tensor(x, self.threshold)
        require_finite(x)
        state = self.init_state(x.shape[1]) if state is None else state
        shape = (x.shape[1], self.out_channels, *self.size)
        require_state(state, dict.fromkeys(("v", "c"), shape), self.threshold)
        return _through_time(self, x, state)

    def extra_repr(self) -> str:
        return f"size={self.size}, threshold={float(self.threshold):g}, surrogate={self.surrogate}"


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}, {size[1]}"


def _require_threshold(threshold: float) -> None:
    POSITIVE.require("threshold", threshold)
    if threshold >= 1:
        raise ValueError(f"threshold is {threshold}; expected a number in (0, 1), as the membrane stays below 1")


def _through_time(cell: SpikingLSTM | SpikingConvLSTM, x: Tensor, state: CellState) -> tuple[Tensor, CellState]:
    """The equations of both, with gates on the axis after the batch."""
    inward = cell.linear if isinstance(cell, SpikingLSTM) else cell.conv
    v, c, outputs = state["v"], state["c"], []
    for row in at_every_step(inward, x).unbind(0):
        i, f, g, o = (row + call(cell.recurrent, v)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        u = torch.sigmoid(o) * torch.tanh(c)
        y = cell.surrogate(u - cell.threshold)
        v = u - cell.threshold * y.detach()
        outputs.append(y)
    return torch.stack(outputs), {"v": v, "c": c}


__all__ = ["SpikingConvLSTM", "SpikingLSTM"]
