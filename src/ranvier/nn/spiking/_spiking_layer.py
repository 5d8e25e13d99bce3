"""Layers whose neurons spike, and the keywords that all of them take."""

from __future__ import annotations

from typing import Any, TypedDict, Unpack

import torch
from torch import Tensor

from ranvier.engines.surrogates import ArcTan, Surrogate
from ranvier.nn.spiking.layer import DynamicalLayer, Features


class LayerOptions(TypedDict, total=False):
    """Keywords of every layer given by a `Step`; `LIF` says what each means."""

    bias: bool
    fused: bool
    device: torch.device | str | None
    dtype: torch.dtype | None


class SpikingOptions(LayerOptions, total=False):
    """And of those whose neurons spike."""

    recurrent: bool
    recurrent_delay: int | Tensor
    surrogate: Surrogate | None


class SpikingLayer(DynamicalLayer):
    """A `DynamicalLayer` with a surrogate and, if requested, recurrent weights."""

    def __init__(
        self,
        in_features: Features | None,
        out_features: int | None,
        *,
        recurrent: bool = False,
        recurrent_delay: int | Tensor = 1,
        surrogate: Surrogate | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        delay = recurrent_delay if recurrent else None
        super().__init__(in_features, out_features, recurrent_delay=delay, **options)
        self.surrogate = surrogate or ArcTan()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "surrogate" and not isinstance(value, Surrogate):
            raise TypeError(f"surrogate is {value!r}; expected a Surrogate, such as rv.nn.surrogates.ArcTan()")
        super().__setattr__(name, value)

    def extra_repr(self) -> str:
        learned = ", ".join(name for name in self._values if name not in self._buffers)
        return f"{super().extra_repr()}, surrogate={self.surrogate}, learn=({learned})"
