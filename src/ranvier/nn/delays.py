"""Delays in steps: of each input, or of each synapse; given or learned."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ranvier.nn.cell import CellState, FixedAttributes, in_own_precision
from ranvier.nn.checks import holds_values, require_finite, require_state, require_tensor, require_values
from ranvier.nn.counting.counts import Counts
from ranvier.nn.domains import NOT_NEGATIVE, Domain, require_sizes
from ranvier.nn.spiking.products import linear

#: of a Gaussian over whole steps; narrower, float32 holds none of its weights
WIDTH = Domain(0.01, 1e6)


class _Delayed(FixedAttributes):
    """What delays share: the last inputs as state, and how many steps each path takes."""

    FIXED = frozenset({"shape", "longest"})
    steps: Tensor
    _reference: Tensor  # whose device and precision the layer has

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
        if not shape:
            raise ValueError("there are features (); expected positive whole numbers")
        for size in shape:
            require_sizes(features=size)
        require_values("steps", steps)
        arguments = (steps if isinstance(steps, Tensor) else torch.as_tensor(steps, device="cpu")).detach()
        try:
            fits = torch.broadcast_shapes(arguments.shape, expected) == expected
        except RuntimeError:
            fits = False
        if not fits:
            raise ValueError(f"steps have shape {tuple(arguments.shape)}; expected a number or {expected}")
        NOT_NEGATIVE.require("steps", arguments)
        if not learn and bool((arguments != arguments.round()).any()):
            raise ValueError(f"steps is {steps}; expected whole numbers; learn=True interpolates between steps")
        most = math.ceil(float(arguments.max()))
        if longest is not None and longest < most:
            raise ValueError(f"longest is {longest}; expected at least the {most} steps of the longest delay")
        self.register_buffer("_reference", torch.empty((), device=device, dtype=dtype), persistent=False)
        self.shape = shape
        self.longest = most if longest is None else longest
        if learn:
            dtype = dtype or torch.get_default_dtype()
            self.steps = nn.Parameter(arguments.expand(expected).clone().to(device=device, dtype=dtype))
        else:
            self.register_buffer("steps", arguments.round().long().to(device=device))

    def init_state(self, batch: int) -> CellState:
        """No input yet: {"past": zeros (longest, B, *shape)}, the newest last."""
        return {"past": self._reference.new_zeros(self.longest, batch, *self.shape)}

    def step(self, state: CellState, x: Tensor) -> tuple[CellState, Tensor]:
        """One step: x (B, *shape) -> (state, y). Raises what `forward` raises."""
        require_tensor(x)
        if x.ndim != 1 + len(self.shape):
            raise ValueError(f"x has shape {tuple(x.shape)}; expected {self._text('B')}")
        y, after = self(x[None], state)
        return after, y[0]

    @in_own_precision
    def forward(self, x: Tensor, state: CellState | None = None) -> tuple[Tensor, CellState]:
        """x (T, B, *shape) -> y (T, B, ...) and the state after the last step."""
        require_tensor(x)
        if x.ndim != 2 + len(self.shape) or x.shape[0] == 0 or x.shape[2:] != self.shape:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected {self._text('T, B')} with T > 0")
        require_tensor(x, self._reference)
        require_finite(x)
        state = self.init_state(x.shape[1]) if state is None else state
        require_state(state, {"past": (self.longest, *x.shape[1:])}, self._reference)
        past = state["past"]
        whole = torch.cat([past, x]) if self.longest else x
        return self._read(whole, len(x)), {"past": whole[len(x) :]}

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, metadata: dict[str, Any], strict: bool, missing: list[str],
        unexpected: list[str], errors: list[str],
    ) -> None:  # fmt: skip
        stored = state_dict.get(f"{prefix}steps")
        if stored is not None and not self.steps.is_floating_point() and int(stored.max()) > self.longest:
            errors.append(f"delays go up to {int(stored.max())} steps; expected at most longest = {self.longest}")
            return
        super()._load_from_state_dict(state_dict, prefix, metadata, strict, missing, unexpected, errors)

    def _text(self, axes: str) -> str:
        return f"({', '.join([axes, *map(str, self.shape)])})"

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

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> y, state = rv.nn.Delay(1, steps=2)(torch.tensor([1.0, 2.0, 3.0, 4.0]).view(4, 1, 1))
    >>> y.flatten().tolist()
    [0.0, 0.0, 1.0, 2.0]
    """

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

    def _read(self, whole: Tensor, T: int) -> Tensor:
        steps = self._used()
        if not steps.is_floating_point():
            return self._at(whole, steps, T)
        before = steps.detach().floor()
        share = steps - before
        later = (before + 1).clamp(max=self.longest)
        return (1 - share) * self._at(whole, before.long(), T) + share * self._at(whole, later.long(), T)

    def _count_operations(self, counts: Counts, arguments: dict[str, Any], out: Any) -> None:
        if self.steps.is_floating_point():
            counts.own(out[0].numel(), 2, 2)  # 1 − share, two products, their sum

    def _at(self, whole: Tensor, steps: Tensor, T: int) -> Tensor:
        if steps.ndim == 0 and holds_values(steps):
            first = len(whole) - T - int(steps)
            return whole[first : first + T]
        at = torch.arange(len(whole) - T, len(whole), device=whole.device).reshape(-1, 1, *[1] * len(self.shape))
        at = (at - steps.expand(self.shape)).expand(T, whole.shape[1], *self.shape)
        return whole.gather(0, at)

    def extra_repr(self) -> str:
        return f"{self.shape}, longest={self.longest}, learn={self.steps.is_floating_point()}"


class DelayedLinear(_Delayed):
    """A linear layer whose every synapse has its own delay: y[t, i] = Σ_k W[i, k] x[t − steps[i, k], k] + b[i].

    Learned delays are those of "dilated convolutions with learnable spacings" (Hammouamri et al. 2024). Without `width`
    W is split between the two whole steps next to the delay, linearly, and the gradient by a delay compares these two.
    With it W is spread over all whole steps d as exp(−(d − steps)²/(2 width²)), normalised to 1, which reaches targets
    further away: begin with about half of `longest`, and set `width` lower from epoch to epoch, to .5. `rounded()` then
    has whole delays.

    Parameters
    ----------
    in_features, out_features : as of nn.Linear.
    steps : delays, a number or (out_features, in_features), whole numbers unless learned.
    learn, longest : as of `Delay`.
    width : of the Gaussian in steps, .01 to 1e6; may be set at any time. None: linear interpolation.

    One product for every delay that occurs, with the weights of that delay; products with spikes are event-driven.
    The state is {"past": (longest, B, in_features)}.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> layer = rv.nn.DelayedLinear(2, 1, torch.tensor([[0, 1]]), bias=False)
    >>> y, state = layer(torch.zeros(4, 1, 2))
    >>> y.shape
    torch.Size([4, 1, 1])
    """

    FIXED = _Delayed.FIXED | {"in_features", "out_features"}
    NUMBERS = {"width": WIDTH}

    def __init__(
        self,
        in_features: int,
        out_features: int,
        steps: float | Tensor,
        *,
        bias: bool = True,
        learn: bool = False,
        longest: int | None = None,
        width: float | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__((in_features,), steps, (out_features, in_features), learn, longest, device, dtype)
        initial = nn.Linear(in_features, out_features, bias=bias, device=device, dtype=dtype)
        self.weight, self.bias = initial.weight, initial.bias
        self.in_features, self.out_features = in_features, out_features
        if width is not None:
            if not learn:
                raise ValueError(f"width is {width} of delays that are not learned; expected None, or learn=True")
            WIDTH.require("width", width)
        self.width = width

    def rounded(self) -> DelayedLinear:
        """The same weights behind the nearest whole delays, which are not learned."""
        layer = DelayedLinear(
            self.in_features, self.out_features, (steps := self._used().detach().round()), bias=self.bias is not None,
            longest=self.longest, device=self.weight.device, dtype=self.weight.dtype,
        )  # fmt: skip
        layer.load_state_dict({**self.state_dict(), "steps": steps.long()})
        return layer

    def _shares(self) -> Iterator[tuple[int, Tensor]]:
        """Delays that occur, and which share of each weight has them (out_features, in_features)."""
        steps = self._used()
        if self.width is not None:
            far = torch.arange(self.longest + 1, device=steps.device)[:, None, None] - steps
            yield from enumerate(torch.softmax(far.square() / (-2 * self.width**2), 0))
            return
        every = steps.is_floating_point() or not holds_values(steps)
        for d in range(self.longest + 1) if every else steps.unique().tolist():
            yield d, (1 - (steps - d).abs()).clamp(min=0)

    def _read(self, whole: Tensor, T: int) -> Tensor:
        total: Tensor | None = self.bias
        for d, share in self._shares():
            first = len(whole) - T - d
            sent = whole[first : first + T].flatten(0, 1)
            total = linear(sent, self.weight * share, total)
        assert total is not None
        return total.unflatten(0, (T, whole.shape[1]))

    def _count_operations(self, counts: Counts, arguments: dict[str, Any], out: Any) -> None:
        x = arguments["x"]
        past = self.init_state(x.shape[1])["past"] if arguments["state"] is None else arguments["state"]["past"]
        whole = torch.cat([past, x])
        active = total = 0
        for d, share in self._shares():
            synapses = (share != 0).sum(0)
            due = whole[len(whole) - len(x) - d :][: len(x)] != 0
            active += int((due.sum((0, 1)) * synapses).sum())
            total += int(synapses.sum())
        counts.weigh(whole, active, total * len(x) * x.shape[1])

    def extra_repr(self) -> str:
        learn = self.steps.is_floating_point()
        return f"{self.in_features}, {self.out_features}, longest={self.longest}, learn={learn}, width={self.width}"


__all__ = ["Delay", "DelayedLinear"]
