"""Closed-form continuous-time networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier.nn.cell import FixedAttributes
from ranvier.nn.counting.counts import Counts
from ranvier.nn.domains import SHARE, require_sizes
from ranvier.nn.liquid import _cfc_sequence
from ranvier.nn.liquid._continuous_time import TimedLayer, lstm_from_ncps
from ranvier.nn.liquid.wirings import LiquidWiring, Wirer, draw
from ranvier.nn.operators import loops_apply
from ranvier.nn.plain_modules import MaskedLinear, are_plain

_MODES = ("default", "no_gate", "pure")
_ACTIVATIONS = {
    "lecun_tanh": lambda z: 1.7159 * torch.tanh(0.666 * z), "tanh": torch.tanh, "relu": F.relu, "silu": F.silu,
    "gelu": F.gelu,
}  # fmt: skip


class ClosedForm(FixedAttributes):
    """One layer of a `CfC`: backbone and heads. `mask` (N, K) says which weights of f₁ and f₂ exist."""

    FIXED = frozenset({"in_features", "units", "activation", "mode"})
    w_tau: nn.Parameter
    A: nn.Parameter

    def __init__(
        self, in_features: int, units: int, backbone: Sequence[int], activation: str, mode: str, mask: Tensor | None,
        like: dict[str, Any],
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_features, self.units, self.activation, self.mode = in_features, units, activation, mode
        sizes = [in_features + units, *backbone]
        self.backbone = nn.ModuleList(nn.Linear(a, b, **like) for a, b in pairwise(sizes))
        pure = mode == "pure"
        if mask is None:
            self.heads = nn.Linear(sizes[-1], units * (1 if pure else 4), **like)
        else:
            full = torch.ones_like(mask)
            self.heads = MaskedLinear(mask if pure else torch.cat([mask, mask, full, full]), **like)
        for layer in self.backbone:
            nn.init.xavier_uniform_(layer.weight)  # type: ignore[arg-type]
        with torch.no_grad():
            for part in self.heads.weight.split(units):
                nn.init.xavier_uniform_(part)
        self.register_parameter("w_tau", nn.Parameter(torch.zeros(units, **like)) if pure else None)
        self.register_parameter("A", nn.Parameter(torch.ones(units, **like)) if pure else None)

    def weights(self) -> list[Tensor] | None:
        """Matrix and bias of each product, in order; None where modules do more than their product."""
        if not are_plain([*self.backbone, self.heads]):
            return None
        heads = self.heads
        head = heads.weight * heads.mask if isinstance(heads, MaskedLinear) else heads.weight
        return [p for layer in self.backbone for p in (layer.weight, layer.bias)] + [head, heads.bias]  # type: ignore

    def plain(self, x: Tensor, h: Tensor, spans: Tensor, dropout: float) -> Tensor:
        """x (T, B, I), h (B, N), spans (T, B) -> h (T, B, N)."""
        squash, outputs = _ACTIVATIONS[self.activation], []
        for row, span in zip(x.unbind(0), spans.unbind(0), strict=True):
            z = torch.cat([row, h], 1)
            for layer in self.backbone:
                z = F.dropout(squash(layer(z)), dropout, self.training)
            h = self._interpolate(self.heads(z), span[:, None])
            outputs.append(h)
        return torch.stack(outputs)

    def count(self, counts: Counts, samples: int, x: Tensor | None) -> None:
        """`samples` steps' work, on x (..., in_features), or on numbers if None."""
        parts = [*self.backbone, self.heads]
        for part in parts[1:]:
            counts.multiply(samples * part.in_features * part.out_features)  # type: ignore[operator]
        first: Any = parts[0]
        exists = getattr(first, "mask", None)
        if exists is None:
            exists = torch.ones(first.out_features, first.in_features, dtype=torch.uint8)
        of_x, of_h = (exists != 0).sum(0).split([self.in_features, self.units])
        counts.multiply(samples * int(of_h.sum()))
        if x is None:
            counts.multiply(samples * int(of_x.sum()))
        else:
            counts.fan(x, of_x)
        # tanh, sigmoid and exponential among the multiplications
        counts.own(samples * self.units, *{"default": (6, 3), "no_gate": (5, 2), "pure": (4, 2)}[self.mode])

    def _interpolate(self, heads: Tensor, span: Tensor) -> Tensor:
        if self.mode == "pure":
            return self.A - self.A * torch.exp(-span * (self.w_tau.abs() + heads.abs())) * heads
        f, g, t_a, t_b = heads.chunk(4, 1)
        s = torch.sigmoid(t_a * span + t_b)
        f, g = torch.tanh(f), torch.tanh(g)
        return f + s * g if self.mode == "no_gate" else f * (1 - s) + s * g


class CfC(TimedLayer):
    """Closed-form continuous-time network (Hasani et al. 2022, arXiv 2106.13898), which interpolates where a liquid
    network would solve:

        h ← f₁ (1 − σ(t_a Δt + t_b)) + f₂ σ(t_a Δt + t_b),

    f₁ and f₂ (tanh) and t_a, t_b linear heads on a backbone of [x, h].

    Parameters
    ----------
    in_features : inputs.
    wiring : number of units, or `NCP`, `AutoNCP`, a `LiquidWiring`. A wiring makes one layer without backbone of each
        of its layers, inter, command, motor: an input reaches only the layer behind it, and within f₁ and f₂ only what
        is wired (t_a and t_b, and the recurrence within a layer, are full, as in ncps). The state holds the layers
        in that order.
    backbone : sizes of the backbone's layers.
    activation : of the backbone: "lecun_tanh" (1.7159 tanh(0.666 z)), "tanh", "relu", "silu", "gelu".
    dropout : behind each layer of the backbone.
    mode : "default"; "no_gate": h ← f₁ + f₂ σ; "pure": h ← A − A exp(−Δt (|w_tau| + |f₁|)) f₁, f₁ linear.
    mixed_memory, projection, timed : as in `LTC`.
    fused : products of all steps at once and compiled loops, where they apply (CPU, tanh kinds, no dropout, not
        "pure"); False: plain torch.

    Surface and errors as `LTC`; the state is {"h": (B, units)}.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> y, state = rv.nn.CfC(3, 8)(torch.zeros(5, 1, 3))
    >>> y.shape
    torch.Size([5, 1, 8])
    """

    state_name = "h"
    FIXED = TimedLayer.FIXED | {"mode", "activation"}
    NUMBERS = {"dropout": SHARE}

    def __init__(
        self,
        in_features: int,
        wiring: int | Wirer | LiquidWiring,
        *,
        backbone: Sequence[int] = (128,),
        activation: str = "lecun_tanh",
        dropout: float = 0.0,
        mode: str = "default",
        mixed_memory: bool = False,
        projection: int | None = None,
        timed: bool = False,
        fused: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        if mode not in _MODES or activation not in _ACTIVATIONS:
            raise ValueError(
                f"mode is {mode!r}, activation is {activation!r}; "
                f"expected one of {', '.join(_MODES)} and one of {', '.join(_ACTIVATIONS)}"
            )
        SHARE.require("dropout", dropout)
        for size in backbone:
            require_sizes(backbone=size)
        plan: list[tuple[int, int, Tensor | None]]
        if isinstance(wiring, int):
            require_sizes(units=wiring)
            plan = [(in_features, wiring, None)]
        else:
            circuit = draw(wiring, in_features)
            plan, backbone = _plan(circuit), ()
        super().__init__(
            in_features, sum(n for _, n, _ in plan), mixed_memory=mixed_memory, timed=timed, like=like
        )
        self.layers = nn.ModuleList(
            ClosedForm(k, n, backbone, activation, mode, mask, like) for k, n, mask in plan
        )
        self.dropout, self.mode, self.activation, self.fused = dropout, mode, activation, fused
        self.projection = None if projection is None else nn.Linear(plan[-1][1], projection, **like)

    def _run(self, x: Tensor, state: Tensor, spans: Tensor) -> tuple[Tensor, Tensor]:
        last = []
        compiled = self.fused and self.mode != "pure" and self.activation in _cfc_sequence.HEIGHTS
        compiled = compiled and not (self.training and self.dropout > 0)
        for layer, h in zip(self.layers, state.split([m.units for m in self.layers], 1), strict=True):  # type: ignore[misc]
            weights = layer.weights() if compiled else None  # type: ignore[operator]
            if weights is not None and loops_apply(x, [h, spans, *weights]):
                x = _cfc_sequence.fused(x, h, spans, self.mode == "default", self.activation, weights)
            else:
                x = layer.plain(x, h, spans, self.dropout)  # type: ignore[operator]
            last.append(x[-1])
        return x, torch.cat(last, 1)

    def _count_run(self, counts: Counts, x: Tensor) -> None:
        for k, layer in enumerate(self.layers):
            layer.count(counts, x[..., 0].numel(), x if k == 0 else None)  # type: ignore[operator]

    def _read(self, h: Tensor) -> Tensor:
        return h if self.projection is None else self.projection(h)

    @classmethod
    def from_ncps(
        cls, state: Mapping[str, Tensor], *, mode: str = "default", activation: str = "lecun_tanh", timed: bool = False
    ) -> CfC:
        """A cell with the weights of an ncps model, from the `state_dict()` of an `ncps.torch.CfC`; same outputs.

        `mode` and `activation` are the model's, which its state does not tell. ValueError for another model's state.
        """
        cell = {k.removeprefix("rnn_cell."): v.detach() for k, v in state.items()}
        if "ff1.weight" not in cell and "layer_0.ff1.weight" not in cell:
            raise ValueError("there is a state without 'ff1.weight'; expected the state_dict() of ncps' CfC")
        wired = "layer_0.ff1.weight" in cell
        prefixes = [f"layer_{k}." for k in range(sum(k.endswith("ff1.weight") for k in cell))] if wired else [""]
        first = cell[prefixes[0] + "ff1.weight"]
        like: dict[str, Any] = {"dtype": first.dtype, "device": first.device}
        linear = sorted(int(k.split(".")[1]) for k in cell if k.startswith("backbone.") and k.endswith("weight"))
        backbone = [len(cell[f"backbone.{k}.weight"]) for k in linear]
        names = ("ff1",) if mode == "pure" else ("ff1", "ff2", "time_a", "time_b")
        layers = []
        for prefix in prefixes:
            units, width = cell[prefix + "ff1.weight"].shape
            inputs = (cell["backbone.0.weight"].shape[1] if backbone else width) - units
            mask = cell.get(prefix + "sparsity_mask")
            layer = ClosedForm(inputs, units, backbone, activation, mode, mask, like)
            with torch.no_grad():
                for ours, k in zip(layer.backbone, linear, strict=True):
                    ours.weight.copy_(cell[f"backbone.{k}.weight"])  # type: ignore[union-attr, operator]
                    ours.bias.copy_(cell[f"backbone.{k}.bias"])  # type: ignore[union-attr, operator]
                for part in ("weight", "bias"):
                    getattr(layer.heads, part).copy_(torch.cat([cell[f"{prefix}{n}.{part}"] for n in names]))
                for name in ("w_tau", "A"):
                    if mode == "pure":
                        getattr(layer, name).copy_(cell[prefix + name][0])
            layers.append(layer)
        project = len(cell["fc.weight"]) if "fc.weight" in cell else None
        network = cls(
            layers[0].in_features, layers[0].units, activation=activation, mode=mode, projection=project, timed=timed,
            mixed_memory="lstm.input_map.weight" in cell, **like,
        )  # fmt: skip
        network.layers = nn.ModuleList(layers)
        network.__dict__["units"] = sum(layer.units for layer in layers)  # fixed from here on
        if network.projection is not None:
            network.projection = nn.Linear(layers[-1].units, project, **like)  # type: ignore[arg-type]
            network.projection.load_state_dict({"weight": cell["fc.weight"], "bias": cell["fc.bias"]})
        if network.lstm is not None:
            network.lstm = nn.LSTMCell(network.in_features, network.units, **like)
            lstm_from_ncps(network.lstm, cell)
        return network

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.units}, mode={self.mode!r}, fused={self.fused}"


def _plan(wiring: LiquidWiring) -> list[tuple[int, int, Tensor | None]]:
    """Inputs, units and mask (N, inputs + N) of each layer."""
    plan: list[tuple[int, int, Tensor | None]] = []
    for k, layer in enumerate(wiring.layers):
        synapses = wiring.sensory if k == 0 else wiring.recurrent
        before = range(wiring.inputs) if k == 0 else wiring.layers[k - 1]
        matrix = torch.zeros(wiring.units, max(wiring.units, wiring.inputs))
        matrix[torch.from_numpy(synapses.targets), torch.from_numpy(synapses.sources)] = 1.0
        mask = matrix[list(layer)][:, list(before)]
        plan.append((len(before), len(layer), torch.cat([mask, torch.ones(len(layer), len(layer))], 1)))
    return plan


__all__ = ["CfC"]
