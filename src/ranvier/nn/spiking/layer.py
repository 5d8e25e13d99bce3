"""What the layers given by a `Step` share: sizes, parameters, the state, and the two ways through time."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from ranvier.codegen.calls import transformed
from ranvier.engines.surrogates import ArcTan, Surrogate
from ranvier.nn.checks import State, in_own_precision, neuron, require_finite, require_state, require_tensor
from ranvier.nn.spiking import _fused
from ranvier.nn.spiking._recurrence import Delays, Recurrence, fed_back
from ranvier.nn.spiking.products import linear
from ranvier.nn.spiking.step import Step

Features = int | tuple[int, ...]


class DynamicalLayer(nn.Module):
    """A `Cell` whose step is a `Step`; see `LIF`.

    `shape` is the neurons' shape, (N,) or as many axes as wanted; None: that of each input.
    """

    equations: Step
    surrogate: Surrogate = ArcTan()
    linear: nn.Linear | None
    recurrent: nn.Parameter | None

    def __init__(
        self,
        in_features: Features | None,
        out_features: int | None,
        *,
        bias: bool = True,
        fused: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        sizes = in_features if isinstance(in_features, tuple) else () if in_features is None else (in_features,)
        for name, size in (*(("in_features", s) for s in sizes), ("out_features", out_features)):
            if size is not None and (not isinstance(size, int) or size < 1):
                raise ValueError(f"found {name} = {size!r}, expected a positive whole number")
        if out_features is not None and not isinstance(in_features, int):
            raise ValueError(f"found in_features = {in_features!r} with out_features, expected one whole number")
        self.shape: tuple[int, ...] | None = sizes or None
        self.in_features: Any = in_features
        self.linear = None
        if out_features is not None:
            self.shape = (out_features,)
            self.linear = nn.Linear(sizes[0], out_features, bias=bias, device=device, dtype=dtype)
        self.out_features: Any = in_features if out_features is None else out_features
        self.fused, self.delays = fused, Delays()
        self.register_parameter("recurrent", None)
        self._values: tuple[str, ...] = ()
        self._decays: tuple[str, ...] = ()
        self._like = {"device": device, "dtype": dtype}

    def _set_recurrence(self, delay: int | Tensor) -> None:
        """A learned weight (N, N) from every neuron's spikes to all, `delay` steps later."""
        if self.shape is None or len(self.shape) > 1:
            raise ValueError(f"found neurons of shape {self.shape}, expected one size (N,) for recurrent=True")
        steps = torch.as_tensor(delay)
        n = self.shape[0]
        if steps.is_floating_point() or steps.shape not in ((), (n,)) or bool((steps < 1).any()):
            raise ValueError(f"found recurrent_delay = {delay}, expected whole numbers >= 1, one or ({n},)")
        self.delays = Delays(tuple(steps.reshape(-1).tolist()))
        weight = torch.empty(n, n, **self._like).uniform_(-1, 1) / math.sqrt(n)  # type: ignore[arg-type]
        self.recurrent = nn.Parameter(weight)

    def _set_values(
        self,
        values: dict[str, float | Tensor],
        *,
        decays: tuple[str, ...],
        positive: tuple[str, ...],
        learn: Collection[str],
    ) -> None:
        """Check the equations' parameters and register them, learned or not."""
        learn = (learn,) if isinstance(learn, str) else tuple(learn)
        if unknown := [name for name in learn if name not in values]:
            raise ValueError(f"found {unknown[0]!r} in learn, expected names among {', '.join(values)}")
        for name, given in values.items():
            # checked here: a meta device holds no values
            value = given.detach().clone() if isinstance(given, Tensor) else torch.tensor(given, dtype=torch.float64)
            if not self._broadcasts(value.shape, self.shape):
                raise ValueError(
                    f"found {name} of shape {tuple(value.shape)}, expected a number or a tensor that broadcasts "
                    f"to {self.shape}"
                )
            if name in decays and not bool(((value >= 0) & (value <= 1)).all()):
                raise ValueError(f"found {name} = {given}, expected a decay per step within [0, 1]")
            if name in positive and not bool((value > 0).all()):
                raise ValueError(f"found {name} = {given}, expected positive numbers")
            value = value.to(**self._like_values())
            if name in learn:
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)
        self._values = tuple(values)
        self._decays = tuple(name for name in decays if name in values)

    @staticmethod
    def _broadcasts(found: tuple[int, ...], shape: tuple[int, ...] | None) -> bool:
        if shape is None or not found:
            return True
        try:
            return torch.broadcast_shapes(found, shape) == shape
        except RuntimeError:
            return False

    def _like_values(self) -> dict:
        return {"device": self._like["device"], "dtype": self._like["dtype"] or torch.get_default_dtype()}

    @property
    def _reference(self) -> Tensor:
        """Whose device and precision the layer has."""
        return getattr(self, self._values[0])

    def _constants(self) -> dict[str, Tensor]:
        """The equations' parameters as they are used."""
        values = {name: getattr(self, name) for name in self._values}
        for name in self._decays:
            if isinstance(value := values[name], nn.Parameter):
                # straight through, so that a decay that left [0, 1] can come back
                values[name] = value + (value.clamp(0, 1) - value).detach()
        return values

    def init_state(self, batch: int) -> State:
        """The state at rest: zeros (batch, *shape); zeros (batch,), for all neurons, if the shape is open."""
        state = {name: self._reference.new_zeros(batch, *(self.shape or ())) for name, _ in self.equations.states}
        if self.recurrent is not None:
            assert self.shape is not None
            state[self.delays.name] = self._reference.new_zeros(self.delays.shape(batch, self.shape[0]))
        return state

    def step(self, state: State, x: Tensor) -> tuple[State, Tensor]:
        """One step: x (B, in_features), or (B, *shape) -> (state, y (B, *shape))."""
        wanted = self._input_shape()
        if x.ndim < 2 or (wanted is not None and x.shape[1:] != wanted):
            raise ValueError(f"found x of shape {tuple(x.shape)}, expected {_text('B', wanted)}")
        state = self._checked_state(state, x[None])
        return self._advance(state, self._project(x), self._constants())

    @in_own_precision
    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """x (T, B, in_features), or (T, B, *shape) -> y (T, B, *shape) and the state after the last step."""
        require_tensor(x)
        wanted = self._input_shape()
        if x.ndim < 3 or x.shape[0] == 0 or (wanted is not None and x.shape[2:] != wanted):
            raise ValueError(f"found x of shape {tuple(x.shape)}, expected {_text('T, B', wanted)} with T > 0")
        if x.dtype != self._reference.dtype:
            raise ValueError(
                f"found x of {x.dtype}, expected {self._reference.dtype}; convert x, or the layer by .to()"
            )
        y, after = self._sequence(x, self._checked_state(self.init_state(x.shape[1]) if state is None else state, x))
        self._check_finite(x, after)
        return y, after

    def _input_shape(self) -> tuple[int, ...] | None:
        return self.shape if self.linear is None else (self.linear.in_features,)

    def _sequence(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        constants = self._constants()
        if self.fused and _fused.applies(self.surrogate, x, constants):
            drive, shape = self._project(x), x.shape[2:] if self.shape is None else self.shape
            own = self.linear is not None
            recurrence = None
            if self.recurrent is not None:
                recurrence = Recurrence(self.delays, state[self.delays.name], self.recurrent)
            if len(shape) > 1:
                drive, state = drive.flatten(2), {name: value.flatten(1) for name, value in state.items()}
            flat = {k: v if v.ndim == 0 else v.expand(shape).reshape(-1) for k, v in constants.items()}
            y, after = _fused.run(self.equations, self.surrogate, drive, state, flat, recurrence, own)
            if len(shape) > 1:
                y, after = y.unflatten(2, shape), {name: value.unflatten(1, shape) for name, value in after.items()}
            return y, after
        outputs = []
        for row in self._project(x).unbind(0):
            state, y = self._advance(state, row, constants)
            outputs.append(y)
        return torch.stack(outputs), state

    def _project(self, x: Tensor) -> Tensor:
        return x if self.linear is None else linear(x, self.linear.weight, self.linear.bias)

    def _advance(self, state: State, x: Tensor, constants: dict[str, Tensor]) -> tuple[State, Tensor]:
        state, name = dict(state), self.delays.name
        if self.recurrent is None:
            y, state = self.equations.evaluate(self.surrogate, x, **state, **constants)
            return state, y
        sent = state.pop(name)
        x = fed_back(sent, self.delays, self.recurrent, x)
        y, state = self.equations.evaluate(self.surrogate, x, **state, **constants)
        return {**state, name: self.delays.after(sent, y)}, y

    def _checked_state(self, state: State, x: Tensor) -> State:
        """The state for x (T, B, ...); one of zeros (B,), at rest, takes the open shape of x."""
        batch, shape = x.shape[1], tuple(x.shape[2:]) if self.shape is None else self.shape
        expected = {name: (batch, *shape) for name, _ in self.equations.states}
        if self.recurrent is not None:
            expected[self.delays.name] = self.delays.shape(batch, shape[0])
        if self.shape is None:
            rest = {n: v.reshape(batch, *[1] * len(shape)) for n, v in state.items() if v.shape == (batch,)}
            state = {**state, **{n: v.expand(batch, *shape) for n, v in rest.items()}}
        require_state(state, expected, self._reference)
        return dict(state)

    def _check_finite(self, x: Tensor, state: State) -> None:
        """What is not finite stays so in a leaky membrane: its last value tells of all before."""
        name = self.equations.states[0][0]
        v = state[name].detach()
        if v.device.type == "meta" or transformed() or math.isfinite(v.sum().item()):
            return
        require_finite(x)
        bad = (~torch.isfinite(v)).nonzero()
        if len(bad):
            b, *n = bad[0].tolist()
            raise ValueError(
                f"found {v[tuple(bad[0])].item()} in {name} of batch {b}, neuron {neuron(n)} "
                "though x is finite: weights or the state given are not finite, or too large"
            )

    def extra_repr(self) -> str:
        sizes = ", ".join(str(s) for s in (self.in_features, self.out_features) if s is not None)
        return f"{sizes or 'any shape'}, recurrent={self.recurrent is not None}, fused={self.fused}"


def _text(axes: str, shape: tuple[int, ...] | None) -> str:
    return f"({axes}, ...)" if shape is None else f"({', '.join([axes, *map(str, shape)])})"


__all__ = ["DynamicalLayer", "Features", "State"]
