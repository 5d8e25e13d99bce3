"""Bounds of a network's outputs over boxes of inputs, by any of the methods."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ranvier.verify.graphs.graph import ComputationGraph
from ranvier.verify.graphs.torch_modules import from_module
from ranvier.verify.networks import NetworkUnderTest
from ranvier.verify.relaxation.backward import crown, output_bound
from ranvier.verify.relaxation.forward import forward_bounds
from ranvier.verify.relaxation.intervals import outward, propagate
from ranvier.verify.relaxation.optimise import alpha_crown, optimise

Method = Literal["interval", "forward", "crown", "alpha"]


class Bounds(NamedTuple):
    """lower <= outputs <= upper, each (B, *output_shape), or (B, R) of rows C.
    Returned by `bounds`.
    """

    lower: Tensor
    upper: Tensor


def bounds(
    network: ComputationGraph | NetworkUnderTest | nn.Module,
    lower: Tensor,
    upper: Tensor,
    *,
    method: Method = "crown",
    C: Tensor | None = None,
    steps: int = 20,
    nodes: bool = False,
) -> Bounds:
    """Bounds of a network's outputs over B boxes of inputs, never too narrow: rounding included.

    Parameters
    ----------
    network : a `ComputationGraph`, what `load` or `wrap` give, or a torch module, which is traced at the boxes' shape.
    lower, upper : (B, *input shape), float64 or what converts to it; infinite and equal ends are allowed.
    method : "interval"; "forward", linear bounds of every node in the input; "crown", backward linear bounds; "alpha",
        these with slopes optimised by `steps` of gradient ascent, of inner nodes too if `nodes`.
    C : (R, outputs) of linear functions of the outputs, bounded in place of the outputs themselves.

    Raises ValueError for shapes that do not fit, numbers that are nan, lower > upper, and another method.

    >>> from ranvier.verify import bounds
    >>> layer = torch.nn.Linear(2, 1, dtype=torch.float64)
    >>> _ = torch.nn.init.ones_(layer.weight), torch.nn.init.zeros_(layer.bias)
    >>> bounds(layer, torch.zeros(1, 2), torch.ones(1, 2)).upper.round(decimals=6)
    tensor([[[2.]]], dtype=torch.float64)
    """
    lower, upper = (torch.as_tensor(v).detach().double() for v in (lower, upper))
    if lower.shape != upper.shape or lower.ndim == 0:
        shapes = f"{tuple(lower.shape)} and {tuple(upper.shape)}"
        raise ValueError(f"lower and upper have the shapes {shapes}; expected the same, (B, *input shape)")
    if len(lower) == 0:
        raise ValueError(f"lower has the shape {tuple(lower.shape)}; expected at least one box")
    if not bool((lower <= upper).all()):
        raise ValueError("lower exceeds upper, or one of them is nan; expected lower <= upper in every element")
    graph = _graph(network, lower)
    if lower[0].numel() != graph.nodes[0].size:
        raise ValueError(
            f"a box has the shape {tuple(lower.shape[1:])}; expected that of the network's input, {graph.input_shape}"
        )
    if method not in Method.__args__:  # type: ignore[attr-defined]
        raise ValueError(f"method is {method!r}; expected one of interval, forward, crown, alpha")
    l, u = (v.reshape(len(v), -1) for v in (lower, upper))
    outputs = graph.nodes[graph.output].size
    rows = torch.eye(outputs, dtype=torch.float64) if C is None else torch.as_tensor(C).detach().double()
    if rows.ndim != 2 or rows.shape[1] != outputs or not bool(torch.isfinite(rows).all()):
        raise ValueError(f"C has the shape {tuple(rows.shape)}; expected finite numbers of (rows, {outputs})")
    shape = graph.output_shape if C is None else (len(rows),)
    with torch.no_grad():
        low, high = _rows(graph, l, u, rows, C is None, method, steps, nodes)
    return Bounds(low.reshape(len(l), *shape), high.reshape(len(l), *shape))


def _graph(network: ComputationGraph | NetworkUnderTest | nn.Module, lower: Tensor) -> ComputationGraph:
    match network:
        case ComputationGraph():
            return network
        case NetworkUnderTest():
            return network.graph
        case nn.Module():
            return from_module(network, torch.zeros(1, *lower.shape[1:], dtype=torch.float64))
    raise ValueError(
        f"network is {type(network).__name__}; expected a ComputationGraph, what load() gives, or a module"
    )


def _rows(
    graph: ComputationGraph, l: Tensor, u: Tensor, rows: Tensor, plain: bool, method: Method, steps: int, nodes: bool
) -> tuple[Tensor, Tensor]:
    both = torch.cat([rows, -rows])[None]
    l, u = outward(l, u)
    match method:
        case "interval":
            known = propagate(graph, l, u)
        case "forward":
            known = forward_bounds(graph, l, u)
        case "crown":
            known = crown(graph, l, u)
        case "alpha":
            with torch.enable_grad():
                known = alpha_crown(graph, l, u, steps=steps) if nodes else crown(graph, l, u)
    low, high = _of_rows(known.lower[graph.output], known.upper[graph.output], rows)
    if method in ("crown", "alpha"):
        if method == "crown":
            least = output_bound(graph, both, known).least(l, u)
        else:
            with torch.enable_grad():
                C = both.expand(len(l), -1, -1)
                least = optimise(graph, graph.output, C, known, steps=steps).least
        below, above = least.split(len(rows), 1)
        low, high = torch.maximum(low, below), torch.minimum(high, -above)
    return low, high


def _of_rows(l: Tensor, u: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Interval bounds of rows · y; the values themselves where rows are those of the identity."""
    n = l.shape[1]
    if rows.shape == (n, n) and torch.equal(rows, torch.eye(n, dtype=torch.float64)):
        return l, u
    low, high = torch.where(rows > 0, l[:, None], u[:, None]), torch.where(rows > 0, u[:, None], l[:, None])
    a = torch.where(rows == 0, 0.0, rows * low)
    b = torch.where(rows == 0, 0.0, rows * high)
    error = (n + 16) * torch.finfo(torch.float64).eps
    return a.sum(-1) - error * a.abs().sum(-1) - 1e-300, b.sum(-1) + error * b.abs().sum(-1) + 1e-300


__all__ = ["Bounds", "Method", "bounds"]
