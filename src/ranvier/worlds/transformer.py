"""The Tolman-Eichenbaum machine as a transformer: TEM-t (Whittington, Warren & Behrens 2022)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import nll_loss, normalize, one_hot

from ranvier._checks import count, whole
from ranvier.worlds.checks import require_walk
from ranvier.worlds.tem import moved


class TEMTransformer(nn.Module):
    """Attention whose keys and queries are positions, and whose values are stimuli, all of the past only.

    Positions are recurrent, e ← e W_a with a rotation W_a = exp(S_a − S_aᵀ) for each action, and of length 1. Scores
    are β ln(n) e_t·e_s over the n steps before t, so that many memories do not drown one. What is predicted is the
    attended stimuli, mixed with a uniform share `doubt`, which a first visit deserves.

    stimuli, actions : how many there are. size : units of a position. positions : "recurrent", or "fixed", sines and
    cosines of the step's number as in Vaswani et al. (2017), a control that ignores actions. angle : √size times the
    deviation of the entries that the S_a start with. transitions : "rotations", or "free": any matrices, which
    start as such rotations. After every step the position is then scaled to length 1, as long walks would make it grow
    or fade: Whittington et al. (2022) have e ← σ(e W_a) with a nonlinearity σ, which is left out here.

    >>> from ranvier.worlds import TEMTransformer
    >>> model = TEMTransformer(stimuli=5, size=8)
    >>> model(torch.tensor([[1], [2], [1]]), torch.tensor([[0], [2], [0]])).shape
    torch.Size([3, 1, 5])
    """

    def __init__(
        self,
        stimuli: int = 45,
        actions: int = 4,
        *,
        size: int = 64,
        positions: Literal["recurrent", "fixed"] = "recurrent",
        transitions: Literal["rotations", "free"] = "rotations",
        angle: float = 0.5,
        doubt: float = 0.02,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.stimuli, self.actions = count(stimuli, "stimuli", 2), count(actions, "actions", 1)
        self.size = count(size, "size", 2)
        if positions not in ("recurrent", "fixed"):
            raise ValueError(f"positions is {positions!r}; expected 'recurrent' or 'fixed'")
        if not 0 < doubt < 1:
            raise ValueError(f"doubt is {doubt}; expected a share within (0, 1)")
        if transitions not in ("rotations", "free"):
            raise ValueError(f"transitions is {transitions!r}; expected 'rotations' or 'free'")
        self.kind, self.free, self.doubt = positions, transitions == "free", doubt
        random = torch.Generator().manual_seed(seed)
        self.log_scale = nn.Parameter(torch.tensor(math.log(5.0)))
        if positions == "recurrent":
            turns = angle / math.sqrt(size) * torch.randn(actions, size, size, generator=random)
            self.turns = nn.Parameter(torch.linalg.matrix_exp(turns - turns.mT) if self.free else turns)
            self.start = nn.Parameter(torch.randn(size, generator=random))
        else:
            self.mixing = nn.Parameter(torch.randn(size, size, generator=random) / math.sqrt(size))

    def transitions(self) -> Tensor:
        """W_a (actions, size, size): rotations exp(S_a − S_aᵀ), or free matrices."""
        if self.free:
            return self.turns
        return torch.linalg.matrix_exp(self.turns - self.turns.transpose(1, 2))

    def positions(self, actions: Tensor) -> Tensor:
        """Positions e (T, B, size) along actions (T, B), of length 1."""
        steps, batch = whole(actions, "actions", "(T, B)", 2, self.actions).shape
        if self.kind == "fixed":
            rates = 1e-4 ** (torch.arange(self.size // 2) / (self.size / 2))
            phases = torch.arange(steps)[:, None] * rates
            waves = torch.cat([phases.sin(), phases.cos()], 1).to(self.mixing)
            waves = nn.functional.pad(waves, (0, self.size - waves.shape[1]))
            return normalize(waves @ self.mixing, dim=1)[:, None].expand(-1, batch, -1)
        e = self.start.expand(batch, -1)
        codes, transitions = [e], self.transitions()
        for row in actions[:-1]:
            e = moved(e, transitions, row)
            e = normalize(e, dim=1) if self.free else e
            codes.append(e)
        return normalize(torch.stack(codes), dim=2)

    def attention(self, actions: Tensor) -> Tensor:
        """What each step (T, B, T) attends to of the steps before it: rows add up to 1, the first to 0.

        A column is a memory neuron's activity along the walk (Krotov & Hopfield 2021).
        """
        e = self.positions(actions).transpose(0, 1)
        steps = len(actions)
        earlier = torch.ones(steps, steps, dtype=torch.bool).tril(-1)
        sharp = self.log_scale.exp() * torch.arange(1, steps + 1).clamp(min=3).to(e).log()
        scores = (e @ e.transpose(1, 2) * sharp[:, None]).masked_fill(~earlier, -torch.inf)
        scores[:, 0] = 0.0  # nothing to attend to
        return (scores.softmax(2) * earlier).transpose(0, 1)

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Log-probabilities (T, B, stimuli) of each stimulus, from what came before it and the action."""
        require_walk(observations, actions, self.stimuli, self.actions)
        values = one_hot(observations.T, self.stimuli).to(self.log_scale)
        attended = (self.attention(actions).transpose(0, 1) @ values).transpose(0, 1)
        return ((1 - self.doubt) * attended + self.doubt / self.stimuli).log()

    def loss(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Mean negative log-probability of the observations, first visits included."""
        return nll_loss(self(observations, actions).flatten(0, 1), observations.flatten())


__all__ = ["TEMTransformer"]
