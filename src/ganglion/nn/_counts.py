"""What one layer did, and how layers that know their own arithmetic add to it.

A layer says what it did by a method that `accounting` calls after every forward pass, with the arguments by their
names and what was returned: `_count_operations(counts, given, out)` where it speaks for all its parts,
`_count_own_operations` where its parts are modules that are called, and counted, themselves. Work on parameters
alone, done once a sequence, is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

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
        """Inputs x (..., K), each with so many connections, a number or (K,) int64."""
        if isinstance(connections, int):
            self.weigh(x, int(torch.count_nonzero(x)) * connections, x.numel() * connections)
            return
        each = (x != 0).reshape(-1, x.shape[-1]).sum(0)
        self.weigh(x, int((each * connections).sum()), x[..., 0].numel() * int(connections.sum()))

    def multiply(self, macs: int) -> None:
        """Multiply–accumulates of numbers that are never spikes."""
        self.macs += macs
        self.dense += macs

    def own(self, times: int, multiplications: int, additions: int) -> None:
        """So many multiplications and additions, so often."""
        self.multiplications += times * multiplications
        self.additions += times * additions


__all__ = ["Counts"]
