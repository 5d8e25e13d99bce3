"""Delays in steps: of each input, or of each synapse; given or learned."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ranvier.nn.counting.counts import Counts
from ranvier.nn.spiking.products import linear

State = dict[str, Tensor]


class _Delayed(nn.Module):
    """What delays share: the last inputs as state, and how many steps each path takes."""

    steps: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        steps: float | Tensor,
        expected: tuple[int, ...],
        learn: bool,
        longest: int | None,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        if not shape or any(not isinstance(n, int) or n < 1 for n in shape):
            raise ValueError(f"found features {shape}, expected positive whole numbers")
        given = torch.as_tensor(steps).detach()
        try:
            fits = torch.broadcast_shapes(given.shape, expected) == expected
        except RuntimeError:
            fits = False
        if not fits:
            raise ValueError(f"found steps of shape {tuple(given.shape)}, expected a number or {expected}")
        if not bool((torch.isfinite(given) & (given >= 0)).all()):
            raise ValueError(f"found steps = {steps}, expected finite numbers >= 0")
        if not learn and bool((given != given.round()).any()):
            raise ValueError(f"found steps = {steps}, expected whole numbers; learn=True interpolates between steps")
        most = math.ceil(float(given.max()))
        if longest is not None and longest < most:
            raise ValueError(f"found longest = {longest}, expected at least the {most} steps of the longest delay")
        self.shape = shape
        self.longest = most if longest is None else longest
        if learn:
            dtype = dtype or torch.get_default_dtype()
            self.steps = nn.Parameter(given.expand(expected).clone().to(device=device, dtype=dtype))
        else:
            self.register_buffer("steps", given.round().long().to(device=device))

    def init_state(self, batch: int) -> State:
        """No input yet: {"past": zeros (longest, B, *shape)}, the newest last."""
        raise NotImplementedError

    def step(self, state: State, x: Tensor) -> tuple[State, Tensor]:
        """One step: x (B, *shape) -> (state, y)."""
        y, after = self(x[None], state)
        return after, y[0]

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """x (T, B, *shape) -> y (T, B, ...) and the state after the last step."""
        if x.ndim != 2 + len(self.shape) or x.shape[0] == 0 or x.shape[2:] != self.shape:
            expected = ", ".join(map(str, self.shape))
            raise ValueError(f"found x of shape {tuple(x.shape)}, expected (T, B, {expected}) with T > 0")
        past = self._zeros(x.shape[1], x) if state is None else state["past"]
        if past.shape != (self.longest, *x.shape[1:]):
            expected_past = (self.longest, *x.shape[1:])
            raise ValueError(f"found the state past of shape {tuple(past.shape)}, expected {expected_past}")
        whole = torch.cat([past, x]) if self.longest else x
        return self._read(whole, len(x)), {"past": whole[len(x) :]}

    def _load_from_state_dict(self, state_dict, prefix, metadata, strict, missing, unexpected, errors) -> None:
        found = state_dict.get(f"{prefix}steps")
        if found is not None and not self.steps.is_floating_point() and int(found.max()) > self.longest:
            errors.append(f"found delays up to {int(found.max())} steps, expected at most longest = {self.longest}")
            return
        super()._load_from_state_dict(state_dict, prefix, metadata, strict, missing, unexpected, errors)

    def _zeros(self, batch: int, like: Tensor) -> Tensor:
        return like.new_zeros(self.longest, batch, *self.shape)

    def _used(self) -> Tensor:
        """The delays within their bounds; the gradient passes, so that one that left can come back."""
        if not self.steps.is_floating_point():
            return self.steps
        return self.steps + (self.steps.clamp(0, self.longest) - self.steps).detach()

    def _read(self, whole: Tensor, T: int) -> Tensor:
        """y at the last T steps of whole (longest + T, B, *shape)."""
        raise NotImplementedError


class Delay(_Delayed):
    """A `Cell` that hands on each feature some steps later: y[t] = x[t − steps], zeros before (axonal delays).

    Parameters
    ----------
    features : number of features, or their shape.
    steps : delays, one number or a tensor that broadcasts to the shape; whole numbers unless learned.
    learn : steps are a parameter, kept within [0, longest]; between whole steps y is interpolated linearly, so the
        gradient by a delay is the difference of two neighbours in time.
    longest : the longest that a delay may become, and the length of the state; default: the longest given.

    The state is {"past": (longest, B, *shape)}, the last inputs, the newest last.
    """

    _like: Tensor  # whose device and precision a new state has

    def __init__(
        self,
        features: int | tuple[int, ...],
        steps: float | Tensor = 1,
        *,
        learn: bool = False,
        longest: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        shape = (features,) if isinstance(features, int) else tuple(features)
        super().__init__(shape, steps, shape, learn, longest, device, dtype)
        self.register_buffer("_like", torch.empty((), device=device, dtype=dtype), persistent=False)

    def init_state(self, batch: int) -> State:
        return {"past": self._zeros(batch, self._like)}

    def _read(self, whole: Tensor, T: int) -> Tensor:
        steps = self._used()
        if not steps.is_floating_point():
            return self._at(whole, steps, T)
        before = steps.detach().floor()
        share = steps - before
        later = (before + 1).clamp(max=self.longest)
        return (1 - share) * self._at(whole, before.long(), T) + share * self._at(whole, later.long(), T)

    def _count_operations(self, counts: Counts, given: dict[str, Any], out: Any) -> None:
        if self.steps.is_floating_point():
            counts.own(out[0].numel(), 2, 2)  # 1 − share, two products, their sum

    def _at(self, whole: Tensor, steps: Tensor, T: int) -> Tensor:
        if steps.ndim == 0 and steps.device.type != "meta":
            first = len(whole) - T - int(steps)
            return whole[first : first + T]
        at = torch.arange(len(whole) - T, len(whole), device=whole.device).reshape(-1, 1, *[1] * len(self.shape))
        at = (at - steps.expand(self.shape)).expand(T, whole.shape[1], *self.shape)
        return whole.gather(0, at)

    def extra_repr(self) -> str:
        return f"{self.shape}, longest={self.longest}, learn={self.steps.is_floating_point()}"


class DelayedLinear(_Delayed):
    """A linear layer whose every synapse has its own delay: y[t, i] = Σ_k W[i, k] x[t − steps[i, k], k] + b[i].

    Learned delays are those of "dilated convolutions with learnable spacings" (Hammouamri et al. 2024) with
    linear interpolation between steps: W is split between the two whole steps next to the delay.

    Parameters
    ----------
    in_features, out_features : as of nn.Linear.
    steps : delays, a number or (out_features, in_features), whole numbers unless learned.
    learn, longest : as of `Delay`.

    One product for every delay that occurs, with the weights of that delay; products with spikes are event-driven.
    The state is {"past": (longest, B, in_features)}.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        steps: float | Tensor,
        *,
        bias: bool = True,
        learn: bool = False,
        longest: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__((in_features,), steps, (out_features, in_features), learn, longest, device, dtype)
        made = nn.Linear(in_features, out_features, bias=bias, device=device, dtype=dtype)
        self.weight, self.bias = made.weight, made.bias
        self.in_features, self.out_features = in_features, out_features

    def init_state(self, batch: int) -> State:
        return {"past": self._zeros(batch, self.weight)}

    def _read(self, whole: Tensor, T: int) -> Tensor:
        steps = self._used()
        total: Tensor | None = self.bias
        every = steps.is_floating_point() or steps.device.type == "meta"
        occurring = range(self.longest + 1) if every else steps.unique().tolist()
        for d in occurring:
            share = (1 - (steps - d).abs()).clamp(min=0)
            first = len(whole) - T - d
            sent = whole[first : first + T].flatten(0, 1)
            total = linear(sent, self.weight * share, total)
        assert total is not None
        return total.unflatten(0, (T, whole.shape[1]))

    def _count_operations(self, counts: Counts, given: dict[str, Any], out: Any) -> None:
        x = given["x"]
        past = self._zeros(x.shape[1], x) if given["state"] is None else given["state"]["past"]
        whole, steps = torch.cat([past, x]), self._used()
        active = total = 0
        for d in range(self.longest + 1):
            synapses = ((steps - d).abs() < 1).sum(0)
            due = whole[len(whole) - len(x) - d :][: len(x)] != 0
            active += int((due.sum((0, 1)) * synapses).sum())
            total += int(synapses.sum())
        counts.weigh(whole, active, total * len(x) * x.shape[1])

    def extra_repr(self) -> str:
        learn = self.steps.is_floating_point()
        return f"{self.in_features}, {self.out_features}, longest={self.longest}, learn={learn}"


__all__ = ["Delay", "DelayedLinear"]
