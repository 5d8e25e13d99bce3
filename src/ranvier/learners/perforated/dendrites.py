"""The dendrites of a layer's neurons: grown one a neuron at a time, trained apart from the rest, then frozen.

With V the output of the dendrite that grows and E = ∂L/∂z its neuron's error, it ascends |Σ(V − V̄)(E − Ē)| (Fahlman &
Lebiere 1990, eq. 1; Brenner & Itti 2025), sums over the batch and, of a convolution, over positions. The gradient of
that is left in its parameters by the ordinary `loss.backward()`: a node between layer and network hands E on unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

MEMORY = 0.99  # of the running averages, a batch
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"sigmoid": torch.sigmoid, "tanh": torch.tanh}
IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {"sigmoid": torch.sigmoid_, "tanh": torch.tanh_}


class Dendrite(nn.Module):
    """o = σ(inner(x) + Σ_j links_j o_j), one for every neuron of a layer; j are the dendrites that grew before.

    inner : a map of the layer's own kind. `weight` (neurons,) leads from the dendrite to its neuron, 0 at first.
    """

    def __init__(self, inner: nn.Module, earlier: int, activation: str, axis: int) -> None:
        super().__init__()
        like: Any = inner.weight
        self.inner, self.axis, self.activation = inner, axis, activation
        self.links = nn.Parameter(like.new_zeros(len(like), earlier))
        self.weight = nn.Parameter(like.new_zeros(len(like)))

    def forward(self, x: Tensor, earlier: list[Tensor]) -> Tensor:
        """x as the layer's; `earlier` outputs of the dendrites before, each of the layer's output shape."""
        a = self.inner(x)
        for j, o in enumerate(earlier):
            a = a + along(self.links[:, j], self.axis) * o
        # the map's own output, which nothing else holds, unless a hook does
        alone = not torch.is_grad_enabled() and not self.inner._forward_hooks
        return (IN_PLACE if alone else ACTIVATIONS)[self.activation](a)

    def learning(self) -> list[nn.Parameter]:
        """What is trained while it grows: all but its weight."""
        return [*self.inner.parameters(), *([self.links] if self.links.numel() else [])]


class Candidate(nn.Module):
    """A dendrite that grows, the running averages of V, E and their covariance, and the best weights so far.

    The covariance's average begins at 0 and is not corrected for that, so that the noise of the first batches is no
    best score; the averages of V and E are.
    """

    mean_v: Tensor
    mean_e: Tensor
    covariance: Tensor
    best_score: Tensor
    batches: Tensor

    def __init__(self, dendrite: Dendrite, best: Dendrite) -> None:
        super().__init__()
        self.dendrite, self.best = dendrite, best.requires_grad_(False)
        best.load_state_dict(dendrite.state_dict())
        for name in ("mean_v", "mean_e", "covariance"):
            self.register_buffer(name, torch.zeros_like(dendrite.weight, requires_grad=False))
        self.register_buffer("best_score", torch.full_like(self.covariance, -1.0))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64, device=self.covariance.device))

    @torch.no_grad()
    def observe(self, v: Tensor, e: Tensor) -> Tensor:
        """Take one batch of V and E, of the layer's output shape, into the averages; the gradient of −score in V."""
        axis = self.dendrite.axis
        rows_v, rows_e = (t.movedim(axis, -1).flatten(0, -2) for t in (v, e))
        self.batches += 1
        filled = 1 - MEMORY ** int(self.batches)
        for mean, rows in ((self.mean_v, rows_v), (self.mean_e, rows_e)):
            mean.lerp_(rows.mean(0), 1 - MEMORY)
        centred = rows_e - self.mean_e / filled
        self.covariance.lerp_(((rows_v - self.mean_v / filled) * centred).sum(0), 1 - MEMORY)
        score = self.covariance.abs()
        better = score > self.best_score
        self.best_score.copy_(torch.where(better, score, self.best_score))
        for p, q in zip(self.best.learning(), self.dendrite.learning(), strict=True):
            p.copy_(torch.where(better.reshape(-1, *[1] * (p.ndim - 1)), q, p))
        sign = torch.where(self.covariance < 0, -1.0, 1.0).to(e.dtype)
        return -along(sign, axis) * (e - along(self.mean_e / filled, axis))


class _Errors(torch.autograd.Function):
    """z as it is; on the way back E passes as it is, and V gets the gradient of the candidate's own objective."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, v: Tensor, candidate: Candidate) -> Tensor:  # type: ignore[override]
        ctx.candidate = candidate
        ctx.save_for_backward(v)
        return z.clone()  # a view could not be changed in place by what follows

    @staticmethod
    def backward(ctx: Any, e: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        (v,) = ctx.saved_tensors
        return e, ctx.candidate.observe(v, e), None


class Dendrites(nn.Module):
    """All dendrites of a layer: z -> z + Σ_k weight_k o_k(x).

    No error goes through a dendrite to what it reads (the perforation), unless through=True; its own parameters are
    frozen, but for the weight to its neuron. A state dict with another number of dendrites is loaded by growing to it.

    make : inner maps, called with device= and dtype=. axis : of the neurons in z, counted from its end.
    """

    like: Tensor

    def __init__(self, make: Callable[..., nn.Module], axis: int, like: Tensor, activation: str, through: bool) -> None:
        super().__init__()
        self.make, self.axis, self.activation, self.through = make, axis, activation, through
        self.grown = nn.ModuleList()
        self.candidate: Candidate | None = None
        self.register_buffer("like", like.detach().new_empty(0), persistent=False)  # its type and device follow .to()

    def forward(self, z: Tensor, x: Tensor, *, fresh: bool = False) -> Tensor:
        """z: what the layer gives for x; fresh: nothing else holds it, so that it may be overwritten."""
        if fresh and not torch.is_grad_enabled() and all(unwatched(m) for d in self.grown for m in (d, d.inner)):
            return self._add(z, x)
        outputs: list[Tensor] = []
        total = z
        for dendrite in self.grown:
            with torch.set_grad_enabled(self.through and torch.is_grad_enabled()):
                outputs.append(dendrite(x, outputs))
            total = torch.addcmul(total, along(dendrite.weight, self.axis), outputs[-1])  # type: ignore[arg-type]
        if self.candidate is not None and torch.is_grad_enabled():
            v = self.candidate.dendrite(x.detach(), [o.detach() for o in outputs])
            total = _Errors.apply(total, v, self.candidate)  # type: ignore[no-untyped-call]
        return total

    def _add(self, z: Tensor, x: Tensor) -> Tensor:
        """The same without gradients: in place, as memory that is new each time costs more than the sums."""
        outputs: list[Tensor] = []
        for dendrite in self.grown:
            known: Any = dendrite
            a = known.inner.forward(x)
            for j, o in enumerate(outputs):
                a.addcmul_(along(known.links[:, j], self.axis), o)
            outputs.append(IN_PLACE[self.activation](a))
            z.addcmul_(along(known.weight, self.axis), a)
        return z

    def new(self, earlier: int) -> Dendrite:
        """A dendrite with fresh weights."""
        inner = self.make(device=self.like.device, dtype=self.like.dtype)
        return Dendrite(inner, earlier, self.activation, self.axis)

    def begin(self) -> list[nn.Parameter]:
        """Let a candidate grow; its parameters."""
        self.candidate = Candidate(self.new(len(self.grown)), self.new(len(self.grown)))
        return self.candidate.dendrite.learning()

    def adopt(self) -> nn.Parameter:
        """Freeze the candidate at its best; the weights to its neurons."""
        assert self.candidate is not None
        dendrite = self.candidate.best
        self.candidate = None
        self.grown.append(dendrite)
        dendrite.weight.requires_grad_()
        return dendrite.weight

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        """Take on the structure of what is loaded; the parts' own tensors are loaded after this."""
        size = 0
        while f"{prefix}grown.{size}.weight" in state_dict:
            size += 1
        for k in range(len(self.grown), size):
            self.grown.append(self.new(k).requires_grad_(False))
            self.grown[k].weight.requires_grad_()  # type: ignore[union-attr, operator]
        del self.grown[size:]
        held = self.candidate
        if f"{prefix}candidate.best_score" not in state_dict:
            self.candidate = None
        elif held is None or held.best.links.shape[1] != size:
            self.begin()
        super()._load_from_state_dict(state_dict, prefix, *args)

    def __repr__(self) -> str:
        return f"Dendrites({self.activation}, through={self.through})"  # the same however many there are


def unwatched(module: Any) -> bool:
    """Whether nothing hangs on a module's calls."""
    return not (module._forward_hooks or module._forward_pre_hooks)


def along(values: Tensor, axis: int) -> Tensor:
    """(neurons,) as a tensor with its axis at `axis`, counted from the end."""
    return values.reshape(-1, *[1] * (-1 - axis))


__all__ = ["ACTIVATIONS", "Candidate", "Dendrite", "Dendrites", "along", "unwatched"]
