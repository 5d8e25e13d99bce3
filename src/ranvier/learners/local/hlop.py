"""HLOP: new tasks learned orthogonally to what older ones used, the subspace found by Hebbian lateral weights."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ranvier.codegen.arithmetic.products import linear, product
from ranvier.learners.labelled import Encode, GradientLearner, Loss, name, whole
from ranvier.learners.local._layers import is_parametrized, require_own_weight


class Lateral:
    """Lateral weights H (k, n) whose rows come to span the principal subspace of activity x (Xiao et al. 2024).

    Each iteration: y = H x, x̂ = Hᵀ y over all rows, ΔH = clip(yᵀ(x − x̂)/B, ±10), which is Oja's subspace rule;
    momentum .9 as a running mean. The first `old` rows are frozen.

    spiking : (scale, steps): y is what lateral spiking neurons send in `steps` steps, clipped to ±scale and rounded
        to scale/steps; None: y as it is.
    """

    def __init__(self, n: int, rate: float, *, momentum: float = 0.9, spiking: tuple[float, int] | None = None) -> None:
        self.rate, self.momentum, self.spiking = rate, momentum, spiking
        self.H = torch.zeros(0, n)
        self.change = torch.zeros(0, n)
        self.old = 0

    def grow(self, rows: int, like: Tensor) -> None:
        """Freeze the rows there are and add some, orthonormal among themselves."""
        n = self.H.shape[1]
        if self.H.shape[0] + rows > n:
            raise ValueError(
                f"there are {self.H.shape[0]} rows and {rows} more; expected at most {n}, the inputs there are: "
                "nothing would be left to learn in"
            )
        new = torch.empty(rows, n, dtype=like.dtype, device=like.device)
        if rows:
            nn.init.orthogonal_(new)
        self.old = len(self.H)
        self.H = torch.cat([self.H.to(new), new])
        self.change = torch.cat([self.change.to(new), torch.zeros_like(new)])

    def code(self, x: Tensor, rows: int | None = None) -> Tensor:
        """y (B, rows) of x (B, n)."""
        y = x @ self.H[:rows].T
        if self.spiking is None:
            return y
        scale, steps = self.spiking
        return torch.round(y.clamp(-scale, scale) * (steps / scale)) * (scale / steps)

    def without(self, x: Tensor) -> Tensor:
        """x less what the frozen rows hold of it."""
        return x - self.code(x, self.old) @ self.H[: self.old]

    def learn(self, x: Tensor, iterations: int) -> None:
        """Hebbian learning on a batch x (B, n)."""
        for _ in range(iterations):
            y = self.code(x)
            change = (y[:, self.old :].T @ (x - y @ self.H) / len(x)).clamp(-10.0, 10.0)
            self.change[self.old :] = self.momentum * self.change[self.old :] + (1 - self.momentum) * change
            self.H[self.old :] += self.rate * self.change[self.old :]

    def state(self) -> dict[str, Any]:
        """What `take` takes up."""
        return {"H": self.H.clone(), "change": self.change.clone(), "old": self.old}

    def take(self, state: dict[str, Any]) -> None:
        """Go on from a state; ValueError for one of other inputs."""
        shapes, old = [tuple(state[name].shape) for name in ("H", "change")], state["old"]
        if shapes[0] != shapes[1] or shapes[0][1:] != (self.H.shape[1],) or not 0 <= old <= shapes[0][0]:
            raise ValueError(
                f"state.laterals has H of shape {shapes[0]}, change of {shapes[1]} and {old} old rows; expected both "
                f"(rows, {self.H.shape[1]}), and no more old rows than there are"
            )
        self.H, self.change, self.old = state["H"].clone(), state["change"].clone(), state["old"]


class HLOP(GradientLearner):
    """Hebbian learning based orthogonal projection (Xiao et al. 2024, arXiv 2402.11984), on BPTT's gradients.

    Every weight has lateral ones, H, that learn the principal subspace of its presynaptic activity. From the
    second task on (`next_task`), the activity that enters the weight's *update* is projected,
    δ (x − H_oldᵀ H_old x)ᵀ, so that what older tasks' activity evokes is not changed; the forward pass is as
    ever. All weights count, the shared classifier's too. A vector, such as a bias, cannot be projected: it
    learns in the first task only.

    Parameters
    ----------
    model, loss, optimizer, encode, clip : as for `BPTT`. Weights are those of nn.Linear modules and of layers
        with their own nn.Linear; recurrent weights are refused.
    rows : how many rows of H the first task gets, one number a weight, in the model's order.
    rates : the laterals' learning rates; default .001 for the first weight, .01 for others.
    momentum, iterations : of the Hebbian learning, a batch.
    activity : "rate": laterals learn from activity averaged over steps; "steps": from every step's.
    spiking : None, or (scale, steps) for spiking laterals (20, 40 in the paper); weights must then be nn.Linear
        separate modules, `nn.Linear(784, 800, bias=False), rv.nn.LIF(800)`.
    vectors : let biases and other vectors learn in all tasks; then old tasks are forgotten through them.

    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 2, bias=False))
    >>> optimizer = torch.optim.SGD(model.parameters(), 0.1)
    >>> learner = rv.learners.HLOP(model, rv.learners.rate_cross_entropy, optimizer, rows=[1])
    >>> x, labels = torch.eye(4)[:1].expand(1, 8, 4), torch.zeros(8, dtype=torch.int64)  # one direction
    >>> for _ in range(3):
    ...     _ = learner.step((x, labels))
    >>> learner.next_task([1])
    >>> learner.evaluate((x, labels))["examples"]
    8
    """

    varying = (*GradientLearner.varying, r"laterals")
    loose = (r"laterals\.\d+\.(H|change)",)

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        rows: Sequence[int],
        *,
        rates: Sequence[float] | None = None,
        momentum: float = 0.9,
        iterations: int = 5,
        activity: str = "rate",
        spiking: tuple[float, int] | None = None,
        vectors: bool = False,
        encode: Encode | None = None,
        clip: float | None = None,
    ) -> None:
        if activity not in ("rate", "steps"):
            raise ValueError(f'activity is {activity!r}; expected "rate" or "steps"')
        if spiking is not None and not (spiking[0] > 0 and spiking[1] >= 1):
            raise ValueError(f"spiking is {spiking}; expected (scale > 0, steps >= 1)")
        self.weights = _weights(model, apart=spiking is not None)
        rates = [0.001, *[0.01] * (len(self.weights) - 1)] if rates is None else list(rates)
        if not len(rows) == len(rates) == len(self.weights):
            raise ValueError(
                f"there are {len(rows)} rows, {len(rates)} rates; "
                f"expected {len(self.weights)}: one a weight"
            )
        settings = {
            "loss": name(loss), "rows": list(rows), "rates": rates, "momentum": momentum, "iterations": iterations,
            "activity": activity, "spiking": None if spiking is None else list(spiking), "vectors": vectors,
        }  # fmt: skip
        super().__init__(model, optimizer, encode=encode, clip=clip, settings=settings)
        self.loss, self.iterations, self.activity, self.vectors = loss, iterations, activity, vectors
        self.laterals = [
            Lateral(w.linear.in_features, rate, momentum=momentum, spiking=spiking)
            for w, rate in zip(self.weights, rates, strict=True)
        ]
        self.task = 0
        self._grow(rows)

    def next_task(self, rows: Sequence[int]) -> None:
        """Begin another task: freeze the laterals' rows, add that many new ones to each."""
        if len(rows) != len(self.weights):
            raise ValueError(f"there are {len(rows)} rows; expected {len(self.weights)}: one a weight")
        self._grow(rows)
        self.task += 1

    def _grow(self, rows: Sequence[int]) -> None:
        for lateral, weight, more in zip(self.laterals, self.weights, rows, strict=True):
            lateral.grow(more, weight.linear.weight.detach())

    def _learn(self, x: Tensor, labels: Tensor) -> tuple[float, float | None]:
        activity_of: dict[int, Tensor] = {}
        with self._watched(activity_of, len(labels)):
            loss, right = whole(self.model, self.loss, x, labels)
        if bool(torch.isfinite(loss)):
            loss.backward()
            self._project()
            with torch.no_grad():
                for k, lateral in enumerate(self.laterals):
                    lateral.learn(activity_of[k], self.iterations)
        return loss.item(), right

    def _measure(self, x: Tensor, labels: Tensor) -> tuple[float, float | None]:
        loss, right = whole(self.model, self.loss, x, labels)
        return loss.item(), right

    @torch.no_grad()
    def _project(self) -> None:
        if self.task == 0:
            return
        for weight, lateral in zip(self.weights, self.laterals, strict=True):
            g = weight.linear.weight.grad
            if lateral.spiking is None and g is not None:  # Σ δ (P x)ᵀ = (Σ δ xᵀ) P
                H = lateral.H[: lateral.old]
                g -= g @ H.T @ H
        if not self.vectors:
            for p in self.model.parameters():
                if p.ndim <= 1:
                    p.grad = None

    @contextmanager
    def _watched(self, activity_of: dict[int, Tensor], batch: int) -> Any:
        """Note every weight's input; with spiking laterals, project it on its way into the weight's gradient."""

        def note(k: int, x: Tensor) -> None:
            rows = x.detach().reshape(-1, batch, x.shape[-1])  # (T, B, N), whether steps and batch came apart or not
            activity_of[k] = rows.mean(0) if self.activity == "rate" else rows.flatten(0, 1)

        with ExitStack() as stack:
            for k, (weight, lateral) in enumerate(zip(self.weights, self.laterals, strict=True)):

                def before(module: nn.Module, arguments: tuple[Any, ...], k: int = k) -> None:
                    note(k, arguments[0])

                def after(
                    module: Any, arguments: tuple[Any, ...], out: Tensor, lateral: Lateral = lateral
                ) -> Tensor | None:
                    if lateral.spiking is None or self.task == 0:
                        return None
                    x = arguments[0]
                    return _Orthogonal.apply(x, lateral.without(x.detach()), module.weight, module.bias)

                stack.callback(weight.module.register_forward_pre_hook(before).remove)
                if weight.module is weight.linear:
                    stack.callback(weight.module.register_forward_hook(after).remove)
            yield

    def describe(self) -> dict[str, Any]:
        """As other learners, and which task it is."""
        return super().describe() | {"task": self.task}

    def state_dict(self) -> dict[str, Any]:
        """Of model, optimizer and laterals."""
        return super().state_dict() | {"laterals": [lateral.state() for lateral in self.laterals]}

    def _take_up(self, state: dict[str, Any]) -> None:
        super()._take_up(state)
        for lateral, stored in zip(self.laterals, state["laterals"], strict=True):
            lateral.take(stored)


class _Orthogonal(torch.autograd.Function):
    """x Wᵀ + b, whose weight gradient sees another x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, activity_of: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(activity_of, weight)
        ctx.bias = bias is not None
        return linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        activity_of, weight = ctx.saved_tensors
        rows = g.flatten(0, -2)
        g_x = linear(g, weight.T) if ctx.needs_input_grad[0] else None
        return g_x, None, product(rows.T, activity_of.flatten(0, -2)), rows.sum(0) if ctx.bias else None


class _Weight:
    """An nn.Linear, and the module that is called with its input."""

    def __init__(self, module: nn.Module, linear: nn.Linear) -> None:
        self.module, self.linear = module, linear


def _weights(model: nn.Module, *, apart: bool) -> list[_Weight]:
    owned = {
        id(m.linear): m
        for m in model.modules()
        if not isinstance(m, nn.Linear) and isinstance(getattr(m, "linear", None), nn.Linear)
    }
    linears = [_Weight(owned.get(id(m), m), m) for m in model.modules() if isinstance(m, nn.Linear)]
    known = {id(w.linear.weight) for w in linears}
    if any(is_parametrized(w.linear) for w in linears):
        raise ValueError("there are parametrized weights; expected plain ones: their update is what is projected")
    for w in linears:
        require_own_weight(w.linear)
    other = [label for label, p in model.named_parameters() if p.ndim > 1 and id(p) not in known]
    if not linears or other:
        what = f"the parameter {other[0]}" if other else "no nn.Linear"
        raise ValueError(
            f"the value is {what}; "
            "expected the weights of nn.Linear modules: their inputs can be projected"
        )
    if apart and (joined := [w for w in linears if w.module is not w.linear]):
        raise ValueError(
            f"there are {type(joined[0].module).__name__} with weights and spiking laterals; expected "
            "nn.Linear modules before neurons alone, such as nn.Linear(n, m, bias=False), rv.nn.LIF(m)"
        )
    return linears


__all__ = ["HLOP", "Lateral"]
