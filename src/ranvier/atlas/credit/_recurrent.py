"""Rate networks that learn side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """A ReLU networks without biases and leak, h ← relu(W h + U x), y = V h, each with weights of its own and its own
    input: x (T, A, B, inputs) -> y (T, A, B, classes)."""

    def __init__(self, recurrent: Tensor, inputs: Tensor, outputs: Tensor) -> None:
        """Weights (A, H, H), (A, H, inputs), (A, classes, H)."""
        super().__init__()
        self.recurrent = nn.Parameter(recurrent.clone())
        self.inputs, self.outputs = nn.Parameter(inputs.clone()), nn.Parameter(outputs.clone())

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack(self.states(x)) @ self.outputs.mT

    def states(self, x: Tensor) -> list[Tensor]:
        """h (A, B, H) at every step."""
        driven = x @ self.inputs.mT
        h, states = torch.zeros_like(driven[0]), []
        for row in driven:
            h = torch.relu(h @ self.recurrent.mT + row)
            states.append(h)
        return states
