"""Where the weights of feedback come from: each makes a matrix a layer, of its weight's shape, and changes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pathway(ABC):
    """`start` gives a layer's feedback weights, `current` those of a backward pass, `learn` those after a step.

    >>> class Transposed(rv.learners.pathways.Pathway):  # backpropagation
    ...     def start(self, weight):
    ...         return weight.clone()
    ...     def current(self, feedback, weight):
    ...         return weight
    >>> Transposed().current(None, torch.ones(1, 2)).tolist()
    [[1.0, 1.0]]
    """

    @abstractmethod
    def start(self, weight: Tensor) -> Tensor:
        """At first, of a weight's shape."""

    def current(self, feedback: Tensor, weight: Tensor) -> Tensor:
        """What errors go back by now."""
        return feedback

    def learn(self, feedback: Tensor, layer: Any, before: Tensor) -> None:
        """After a step of the optimizer; `before` are the layer's weights before it. In place."""
        return


@dataclass(frozen=True)
class RandomFeedback(Pathway):
    """Random, for ever: feedback alignment (Lillicrap et al. 2016). Normal, `scale` times the weights' deviation.

    >>> _ = torch.manual_seed(0)
    >>> weight = torch.randn(300, 300)
    >>> feedback = rv.learners.pathways.RandomFeedback(scale=2.0).start(weight)
    >>> round(float(feedback.std() / weight.std()), 1)
    2.0
    """

    scale: float = 1.0

    def start(self, weight: Tensor) -> Tensor:
        return self.scale * weight.std() * torch.randn_like(weight)


@dataclass(frozen=True)
class SignSymmetry(Pathway):
    """The weights' signs times fixed random sizes, half-normal, of the weights' root mean square at first (Liao, Leibo
    & Poggio 2016, "brSF"); uniform=True: all of one size ("uSF").

    >>> pathway = rv.learners.pathways.SignSymmetry(uniform=True)
    >>> weight = torch.tensor([[3.0, -4.0], [0.0, 5.0]])
    >>> pathway.current(pathway.start(weight), weight).sign().tolist()
    [[1.0, -1.0], [0.0, 1.0]]
    """

    uniform: bool = False

    def start(self, weight: Tensor) -> Tensor:
        size = weight.square().mean().sqrt()
        return size * (torch.ones_like(weight) if self.uniform else torch.randn_like(weight).abs())

    def current(self, feedback: Tensor, weight: Tensor) -> Tensor:
        return weight.sign() * feedback


@dataclass(frozen=True)
class KolenPollack(Pathway):
    """Random at first; then feedback changes as the weight does, and both shrink by `decay` a step, so that their
    difference shrinks by it, too (Kolen & Pollack 1994; Akrout et al. 2019).

    >>> layer = torch.nn.Linear(3, 2, bias=False).requires_grad_(False)
    >>> pathway = rv.learners.pathways.KolenPollack(decay=0.5)
    >>> feedback, before = torch.zeros(2, 3), layer.weight - 1.0
    >>> pathway.learn(feedback, layer, before)  # the weight has grown by 1
    >>> bool(torch.allclose(feedback, torch.full((2, 3), 0.5)))
    True
    """

    decay: float = 1e-3
    scale: float = 1.0

    def start(self, weight: Tensor) -> Tensor:
        return RandomFeedback(self.scale).start(weight)

    def learn(self, feedback: Tensor, layer: Any, before: Tensor) -> None:
        feedback.add_(layer.weight - before).mul_(1 - self.decay)
        layer.weight.mul_(1 - self.decay)


@dataclass(frozen=True)
class WeightMirror(Pathway):
    """After every step the layer is driven by noise, and feedback follows the Hebbian products of what goes in and
    comes out: B += rate ⟨y xᵀ⟩ − decay B, with variance 1 at the input, so that B tends to rate/decay W (Akrout et al.
    2019, eq. 6).

    examples : of noise a step.

    >>> _ = torch.manual_seed(0)
    >>> layer = torch.nn.Linear(4, 3)
    >>> pathway = rv.learners.pathways.WeightMirror(rate=0.1, decay=0.1, examples=1000)
    >>> feedback = pathway.start(layer.weight.detach())
    >>> for _ in range(100):
    ...     pathway.learn(feedback, layer, layer.weight.detach())
    >>> bool((feedback - layer.weight).norm() < 0.2 * layer.weight.norm())
    True
    """

    rate: float = 0.05
    decay: float = 0.05
    examples: int = 64
    scale: float = 1.0

    def start(self, weight: Tensor) -> Tensor:
        return RandomFeedback(self.scale).start(weight)

    def learn(self, feedback: Tensor, layer: Any, before: Tensor) -> None:
        matrix = layer.weight.flatten(1)  # of a convolution: a patch in, its channels out
        noise = torch.randn(self.examples, matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
        product = (noise @ matrix.T).T @ noise / self.examples
        feedback.mul_(1 - self.decay).add_(product.view_as(feedback), alpha=self.rate)


__all__ = ["KolenPollack", "Pathway", "RandomFeedback", "SignSymmetry", "WeightMirror"]
