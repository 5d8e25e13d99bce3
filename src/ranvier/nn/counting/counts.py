"""What one layer did, and how layers that know their own arithmetic add to it.

A layer says what it did by a method that `accounting` calls after every forward pass, with the arguments by their
names and what was returned: `_count_operations(counts, given, out)` where it counts for all its parts,
`_count_own_operations` where its parts are modules that are called, and counted, themselves. Work on parameters
alone, done once a sequence, is left out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass
class Counts:
    """Of one layer, or of one projection.

    synops: additions of a weight because of a spike: spikes times the connections that they really have.
    macs: multiply–accumulates, of inputs that are not spikes, zeros among them included.
    dense: connections times inputs, as if nothing were sparse: the MACs of the layer without spikes.
    updates: neurons times steps; multiplications, additions: that these took, a threshold's comparison being an
    addition, a division, power or function a multiplication.
    """

    name: str
    synops: int = 0
    macs: int = 0
    dense: int = 0
    updates: int = 0
    multiplications: int = 0
    additions: int = 0

    def weigh(self, x: Tensor, active: int, dense: int) -> None:
        """Inputs x met weights: `active` of them where only those that are not zero count, `dense` where all do."""
        sizes = x.detach()
        sizes = sizes[sizes != 0].abs()
        self.dense += dense
        if len(sizes) == 0 or bool((sizes == sizes[0]).all()):
            self.synops += active
        else:
            self.macs += dense

    def fan(self, x: Tensor, connections: Tensor | int) -> None:
        """Inputs x (..., K); `connections` of each, a number or (K,) int64."""
        if isinstance(connections, int):
            self.weigh(x, int(torch.count_nonzero(x)) * connections, x.numel() * connections)
            return
        each = (x != 0).reshape(-1, x.shape[-1]).sum(0)
        self.weigh(x, int((each * connections).sum()), x[..., 0].numel() * int(connections.sum()))

    def convolve(self, module: Any, x: Tensor) -> None:
        """Inputs x to an nn.Conv1d, 2d or 3d."""
        self.weigh(x, _connections(module, x != 0), _connections(module, torch.ones_like(x)))

    def multiply(self, macs: int) -> None:
        """Multiply–accumulates of numbers that are never spikes."""
        self.macs += macs
        self.dense += macs

    def own(self, times: int, multiplications: int, additions: int) -> None:
        """So many multiplications and additions, so often."""
        self.multiplications += times * multiplications
        self.additions += times * additions

    def update(self, equations: Iterable[tuple[str, Any]], times: int) -> None:
        """So many neurons times steps, each by these equations."""
        self.updates += times
        self.own(times, *_arithmetic(equations))


def _connections(module: Any, z: Tensor) -> int:
    """Of the inputs that z marks; how many one has depends on borders and strides: convolve with ones, and add up."""
    taps = torch.ones_like(module.weight[: module.groups], dtype=torch.float64)
    counted = module._conv_forward(z.double(), taps, None)
    return round(float(counted.sum())) * (module.out_channels // module.groups)


def _arithmetic(equations: Iterable[tuple[str, Any]]) -> tuple[int, int]:
    """(multiplications, additions) of one step of one neuron; a division, power or function is a multiplication."""
    multiplications = additions = 0
    for _, expression in equations:
        if isinstance(expression, str):
            names = [type(n.op).__name__ for n in ast.walk(ast.parse(expression)) if isinstance(n, ast.BinOp)]
            counted = {name: names.count(name) for name in set(names)}
        else:
            visual = expression.count_ops(visual=True)
            counted = {str(name).title(): int(times) for name, times in visual.as_coefficients_dict().items() if times}
            counted.pop("1", None)
        sums = counted.pop("Add", 0) + counted.pop("Sub", 0)
        counted.pop("Neg", None)
        additions, multiplications = additions + sums, multiplications + sum(counted.values())
    return multiplications, additions


__all__ = ["Counts"]
