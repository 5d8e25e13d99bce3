"""What `settle` answers, of a `Descent` and of a memory alike."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor

from ranvier._results import Columns, Curves


class Ending(IntEnum):
    """Why an entry's descent ended.

    >>> end = rv.energies.Descent(rv.energies.ModernHopfield(torch.eye(2), 8.0)).settle(torch.tensor([[0.9, 0.2]]))
    >>> rv.energies.Ending(int(end.ending[0])).name in ("REST", "STATIONARY")
    True
    """

    MOVING = 0  #: it did not: the steps allowed were taken
    REST = 1  #: no force larger than the tolerance could move a unit
    STATIONARY = 2  #: nothing observable moves: what is left of force and of loss is rounding
    CYCLE = 3  #: synchronous units went back to where they had been
    UNBOUNDED = 4  #: the energy has no lower bound along the way


@dataclass(frozen=True)
class DescentResult(Columns):
    """Where a descent ended.

    x : states (B, N).
    y : their activations (B, N).
    energy : (B,).
    residual : (B,), the largest component of the force that could still move a unit.
    ending : (B,) int8, why each entry ended, an `Ending`.
    steps : taken in all (sweeps, where units move one after another).
    entry_steps : (B,) int64, taken by each entry.
    trace : (steps + 1, B), the energies before every step and at the end, where requested; constant once an entry ends.

    >>> end = rv.energies.Descent(rv.energies.ModernHopfield(torch.eye(2), 8.0)).settle(torch.tensor([[0.9, 0.2]]))
    >>> end.converged.tolist(), bool(end.residual.max() < 1e-3)
    ([True], True)
    """

    x: Tensor
    y: Tensor
    energy: Tensor
    residual: Tensor
    ending: Tensor
    steps: int
    entry_steps: Tensor
    trace: Tensor | None = None

    def _columns(self) -> dict[str, Any]:
        endings = [Ending(code).name.lower() for code in self.ending.tolist()]
        return {"entry": range(len(endings)), "energy": self.energy, "residual": self.residual,
                "steps": self.entry_steps, "ending": endings}  # fmt: skip

    def _curves(self) -> Curves:
        if self.trace is None:
            raise ValueError("the descent holds no energies of its steps; expected them: settle(..., trace=True)")
        lines = {f"entry {k}": row for k, row in enumerate(self.trace.T[:10])}
        return Curves(range(len(self.trace)), lines, "step", "energy")

    @property
    def converged(self) -> Tensor:
        """(B,) bool: at rest, by the tolerance or as far as the numbers' precision lets anyone see."""
        return (self.ending == Ending.REST) | (self.ending == Ending.STATIONARY)

    def count(self, ending: Ending) -> int:
        """How many entries ended so."""
        return int(torch.count_nonzero(self.ending == ending))


__all__ = ["DescentResult", "Ending"]
