"""Cells over time: what liquid and recurrent spiking layers do over whole tubes of inputs.

A cell (`rv.nn.LTC`, `CfC`, `LIF` ..., or a model of them) is unrolled over its steps and bounded as one network, so
that what happens early is known to be the same input later.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ranvier._results import Fields
from ranvier.verify.bounding import Bounds, Method, bounds
from ranvier.verify.graphs.graph import ComputationGraph
from ranvier.verify.graphs.torch_modules import from_module

Range = tuple[Tensor, Tensor]


class _Unrolled(nn.Module):
    """A cell as a function of one vector: inputs, then spans, then the first state, those that vary."""

    def __init__(self, cell: nn.Module, steps: int, features: int, spans: bool, state: dict[str, int]) -> None:
        super().__init__()
        self.cell, self.steps, self.features, self.spans, self.state = cell, steps, features, spans, state

    def forward(self, z: Tensor) -> Tensor:
        n = self.steps * self.features
        x, rest = z[:, :n].reshape(self.steps, 1, self.features), z[:, n:]
        options = {}
        if self.spans:
            options["timespans"], rest = rest[0, : self.steps], rest[:, self.steps :]
        state = None
        if self.state:
            state = dict(zip(self.state, rest.split(list(self.state.values()), 1), strict=True))
        y = self.cell(x, state, **options) if self.spans or state is not None else self.cell(x)
        return (y[0] if isinstance(y, tuple) else y).reshape(1, self.steps, -1)


def tube(
    cell: nn.Module,
    lower: Tensor,
    upper: Tensor,
    *,
    spans: Range | None = None,
    state: dict[str, Range] | None = None,
    method: Method = "crown",
    steps: int = 20,
) -> Bounds:
    """Bounds (T, outputs) of a cell's outputs at every step, for all inputs between lower and upper (T, features).

    spans: least and greatest time since the sample before, (T,) each, for `LTC` and `CfC`: all spans between. state:
    name -> bounds (units,) of the first state; zeros if not given. method, steps: as of `bounds`.

    Raises ValueError for shapes that do not fit, spans that are not positive, and what `bounds` refuses.

    >>> from ranvier.verify import tube
    >>> layer = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.ones_(layer.weight)
    >>> tube(layer, torch.zeros(3, 1), torch.ones(3, 1)).upper.shape
    torch.Size([3, 1])
    """
    graph, l, u = _unrolled(cell, lower, upper, spans, state)
    low, high = bounds(graph, l, u, method=method, steps=steps)
    return Bounds(low[0, 0], high[0, 0])


def _unrolled(
    cell: nn.Module, lower: Tensor, upper: Tensor, spans: Range | None, state: dict[str, Range] | None
) -> tuple[ComputationGraph, Tensor, Tensor]:
    lower, upper = (torch.as_tensor(v).detach().double() for v in (lower, upper))
    if lower.ndim != 2 or lower.shape != upper.shape:
        shapes = f"{tuple(lower.shape)} and {tuple(upper.shape)}"
        raise ValueError(f"lower and upper have the shapes {shapes}; expected (T, features) of both")
    count, features = lower.shape
    low, high = [lower.reshape(-1)], [upper.reshape(-1)]
    if spans is not None:
        a, b = (torch.as_tensor(v).detach().double().reshape(-1) for v in spans)
        if len(a) != count or len(b) != count or not bool((a > 0).all() & (a <= b).all() & torch.isfinite(b).all()):
            numbers = f"{len(a)} and {len(b)} numbers"
            raise ValueError(f"spans are {numbers}, or not positive and in order; expected {count} ranges above 0")
        low.append(a)
        high.append(b)
    sizes = {}
    for name, (a, b) in (state or {}).items():
        sizes[name] = len(a)
        low.append(torch.as_tensor(a).detach().double())
        high.append(torch.as_tensor(b).detach().double())
    l, u = torch.cat(low)[None], torch.cat(high)[None]
    module = _Unrolled(cell, count, features, spans is not None, sizes)
    return from_module(module, 0.5 * l + 0.5 * u), l[:, None], u[:, None]


@dataclass(frozen=True, eq=False)
class SpikeCertificate(Fields):
    """What every input in a tube makes of each neuron at each step, (T, N) of booleans; `open`: neither is shown.
    Returned by `spike_certificate`.
    """

    always: Tensor
    never: Tensor

    @property
    def open(self) -> Tensor:
        return ~(self.always | self.never)

    @property
    def certain(self) -> float:
        """The share of neurons and steps whose spike or silence is shown."""
        return float((~self.open).double().mean())


def spike_certificate(
    layer: nn.Module, x: Tensor, radius: float | Tensor, *, method: Method = "crown", steps: int = 20
) -> SpikeCertificate:
    """Which spikes of a layer (or model that ends in one) no perturbation of its input can change.

    x (T, features); radius: by how much each number may differ, a number or a tensor that broadcasts to x. About real
    numbers: a run in float32 may round across a threshold that it comes within 1e-6 of.
    Raises ValueError for a layer whose outputs are not spikes, and for what `tube` refuses.

    >>> x = torch.tensor([[0.0], [3.0]])
    >>> result = rv.verify.spike_certificate(rv.nn.LIF(1, beta=0.5), x, radius=0.5)
    >>> result.never[:, 0].tolist(), result.always[:, 0].tolist()  # silent, then a spike, whatever the input
    ([True, False], [False, True])
    """
    x = torch.as_tensor(x).detach().double()
    if not bool((torch.as_tensor(radius) >= 0).all()):
        raise ValueError("radius is negative or nan; expected at least 0")
    low, high = tube(layer, x - radius, x + radius, method=method, steps=steps)
    if not bool((low >= -1e-9).all() & (high <= 1 + 1e-9).all()):
        raise ValueError(
            f"outputs lie within [{float(low.min()):.3g}, {float(high.max()):.3g}]; expected spikes, 0 or 1, as of LIF"
        )
    # a spike is 0 or 1, and above 0 only 1
    return SpikeCertificate(low > 0.5, high < 0.5)


def certified_radius(
    layer: nn.Module, x: Tensor, *, most: float = 1.0, halvings: int = 12, method: Method = "crown"
) -> float:
    """The largest radius found for which every spike and silence of x (T, features) is certain; 0 where none is.

    >>> x = torch.full((2, 1), 0.25)  # u: 0.25, then 0.375, far from the threshold of 1
    >>> radius = rv.verify.certified_radius(rv.nn.LIF(1, beta=0.5), x)
    >>> bool(0.4 < radius <= 0.625 / 1.5)  # at which u reaches it in the second step
    True
    """
    x = torch.as_tensor(x).detach().double()
    if x.ndim != 2 or not 0 < most < torch.inf:
        raise ValueError(f"x has the shape {tuple(x.shape)} and most is {most}; expected (T, features), and above 0")
    count, features = x.shape
    graph = from_module(_Unrolled(layer, count, features, False, {}), x.reshape(1, -1))
    low, high = 0.0, most
    for k in range(halvings + 1):
        radius = most if k == 0 else 0.5 * (low + high)
        point = x.reshape(1, 1, -1)
        least, greatest = bounds(graph, point - radius, point + radius, method=method)
        if bool(((least > 0.5) | (greatest < 0.5)).all()):
            low = radius
            if k == 0:
                return most
        else:
            high = radius
    return low


__all__ = ["Range", "SpikeCertificate", "certified_radius", "spike_certificate", "tube"]
