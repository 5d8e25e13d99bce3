"""A dense associative memory that classifies (Krotov & Hopfield 2016, section 4 and appendix A)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ranvier.codegen.arithmetic.products import matmul
from ranvier.energies._arrays import as_floats, as_tensor


class DenseClassifier(nn.Module):
    """Memories over pixels and classes; the class units are updated once, from −1, with the pixels held.

        c_α = tanh(β Σ_μ [F(S_μ + Z_μα + rest) − F(S_μ − Z_μα + rest)]),  F = [·]₊ⁿ,  β = T⁻ⁿ,

    S_μ the overlap of memory μ with the pixels, Z_μα its entry for class α, rest = −Σ_{γ≠α} Z_μγ.

    Parameters
    ----------
    in_features, classes : units of the two kinds.
    memories : K; the paper has 2000.
    n : the power; small ones learn features, large ones prototypes.
    temperature : T, in units of overlap. The paper's is 200 to 700 for 784 pixels within [−1, 1].
    mean, deviation : of the memories' first values.
    fused : use the compiled loops where they apply (CPU, float32); values are those of plain torch to 1e-4.

    `forward(x[B, in_features]) -> c (B, classes)` within (−1, 1). `memory` is the parameter (K, in_features + classes).
    Raises ValueError for sizes, n and T out of range, and for x of another shape.

    >>> model = rv.energies.DenseClassifier(4, classes=2, memories=2, n=2, temperature=4.0)
    >>> with torch.no_grad():  # one memory a class: four pixels, then the classes
    ...     _ = model.memory.copy_(torch.tensor([[1.0, 1, -1, -1, 1, -1], [-1.0, -1, 1, 1, -1, 1]]))
    >>> model(torch.tensor([[1.0, 1.0, -1.0, -1.0], [-1.0, -1.0, 1.0, 1.0]])).argmax(1).tolist()
    [0, 1]
    """

    def __init__(
        self,
        in_features: int = 784,
        classes: int = 10,
        memories: int = 2000,
        *,
        n: int = 20,
        temperature: float = 540.0,
        mean: float = -0.3,
        deviation: float = 0.3,
        fused: bool = True,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, size in {"in_features": in_features, "classes": classes, "memories": memories}.items():
            if not isinstance(size, int) or size < 1:
                raise ValueError(f"{name} is {size!r}; expected a positive whole number")
        if not isinstance(n, int) or n < 2 or not temperature > 0:
            raise ValueError(f"n is {n!r}, temperature is {temperature}; expected n >= 2 and temperature > 0")
        self.in_features, self.classes, self.n, self.temperature = in_features, classes, n, temperature
        self.fused = fused
        self.memory = nn.Parameter(torch.empty(memories, in_features + classes, dtype=dtype).normal_(mean, deviation))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, in_features), within [−1, 1] -> c (B, classes)."""
        x = as_floats("x", x, self.memory)
        if x.ndim != 2 or x.shape[1] != self.in_features:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (B, {self.in_features})")
        pixels, labels = self.memory[:, : self.in_features], self.memory[:, self.in_features :]
        scale = 1 / self.temperature
        low = (matmul(x, pixels.T) - labels.sum(1)) * scale  # overlaps with every class unit at −1
        raised = 2 * scale * labels
        if self.fused and low.device.type == "cpu" and low.dtype == torch.float32:
            return torch.tanh(_Differences.apply(low, raised, self.n))
        high = (low[:, :, None] + raised).relu().pow(self.n)
        return torch.tanh((high - low.relu().pow(self.n)[:, :, None]).sum(1))

    def loss(self, x: Tensor, labels: Tensor, power: int = 30) -> Tensor:
        """Σ_α |(c_α − t_α)/2|^(2m), (), averaged over the batch, of x (B, in_features) and labels (B,); t = ±1.

        `power` is m: large ones look at the worst cases. Without the halves, which scale the loss alone, it is the
        paper's.
        """
        x, labels = as_floats("x", x, self.memory), as_tensor("labels", labels)
        target = 2 * nn.functional.one_hot(labels, self.classes).to(x.dtype) - 1
        # halved, so that a whole power of a difference of at most 2 cannot overflow; it scales the loss alone
        return ((self(x) - target) / 2).abs().pow(2 * power).sum(1).mean()

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.classes}, {len(self.memory)}, n={self.n}, temperature={self.temperature}"


class MaxNormMomentum(torch.optim.Optimizer):
    """V ← p V − gradient; ξ ← clamp(ξ + lr V/max|V|, ±1), the maximum over each memory's entries (appendix A).

    params: tensors whose last axis is a memory's entries. momentum: p. Raises ValueError for lr, p or floor out of
    range.

    >>> memory = torch.nn.Parameter(torch.zeros(1, 2))
    >>> optimizer = rv.energies.MaxNormMomentum([memory], lr=0.1)
    >>> (memory * torch.tensor([[-4.0, 2.0]])).sum().backward()
    >>> optimizer.step()
    >>> [round(v, 3) for v in memory[0].tolist()]  # the largest entry moves by lr
    [0.1, -0.05]
    """

    def __init__(self, params: Iterable[Tensor], lr: float = 0.02, momentum: float = 0.6, floor: float = 1e-30) -> None:
        if not (lr > 0 and 0 <= momentum < 1 and floor > 0):
            raise ValueError(f"lr is {lr}, momentum is {momentum}; expected lr > 0, 0 <= momentum < 1")
        super().__init__(params, {"lr": lr, "momentum": momentum, "floor": floor})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step; memories with a negligible gradient (below `floor`) stay."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                V = state.setdefault("velocity", torch.zeros_like(p))
                V.mul_(group["momentum"]).sub_(p.grad)
                largest = V.abs().amax(-1, keepdim=True).clamp_min(group["floor"])
                p.add_(V / largest, alpha=group["lr"]).clamp_(-1, 1)
        return loss


class _Differences(torch.autograd.Function):
    """Σ_μ [low + raised]₊ⁿ − [low]₊ⁿ from low (B, K), raised (K, C): compiled, in rows that stay in the cache."""

    @staticmethod
    def forward(ctx: Any, low: Tensor, raised: Tensor, n: int) -> Tensor:  # type: ignore[override]
        from ranvier.energies.associative._powers import forward

        out = low.new_empty(len(low), raised.shape[1])
        low, across = low.contiguous(), raised.detach().T.contiguous()
        forward(low.detach().numpy(), across.numpy(), n, out.numpy())
        ctx.save_for_backward(low, across)
        ctx.n = n
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        from ranvier.energies.associative._powers import backward

        low, across = ctx.saved_tensors
        to_low, to_raised = torch.empty_like(low), torch.zeros_like(across)
        backward(
            low.detach().numpy(), across.numpy(), ctx.n, grad.contiguous().numpy(), to_low.numpy(), to_raised.numpy()
        )
        return to_low, to_raised.T, None


__all__ = ["DenseClassifier", "MaxNormMomentum"]
