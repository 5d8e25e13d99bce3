"""What the layers given by a `Step` share: sizes, parameters, the state, and the two ways through time."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from ganglion.engines.surrogates import ArcTan, Surrogate
from ganglion.nn import _fused
from ganglion.nn._recurrence import Recurrence
from ganglion.nn._spikes import linear
from ganglion.nn._step import Step

State = dict[str, Tensor]


class DynamicalLayer(nn.Module):
    """A `Cell` whose step is a `Step`; see `LIF`."""

    equations: Step
    surrogate: Surrogate = ArcTan()
    beta: Tensor
    linear: nn.Linear | None
    recurrent: nn.Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int | None,
        *,
        bias: bool,
        fused: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        for name, size in (("in_features", in_features), ("out_features", out_features)):
            if size is not None and (not isinstance(size, int) or size < 1):
                raise ValueError(f"found {name} = {size!r}, expected a positive whole number")
        self.in_features = in_features
        self.out_features = in_features if out_features is None else out_features
        self.fused = fused
        self.linear = None
        if out_features is not None:
            self.linear = nn.Linear(in_features, out_features, bias=bias, device=device, dtype=dtype)
        self.register_parameter("recurrent", None)
        self._values: tuple[str, ...] = ()
        self._decays: tuple[str, ...] = ()
        self._like = {"device": device, "dtype": dtype}

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
            value = torch.as_tensor(given).detach().clone()  # checked here: a meta device holds no values
            if value.shape not in ((), (self.out_features,)):
                raise ValueError(
                    f"found {name} of shape {tuple(value.shape)}, expected a number or ({self.out_features},)"
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

    def _like_values(self) -> dict:
        return {"device": self._like["device"], "dtype": self._like["dtype"] or torch.get_default_dtype()}

    def _constants(self) -> dict[str, Tensor]:
        """The equations' parameters as they are used."""
        values = {name: getattr(self, name) for name in self._values}
        for name in self._decays:
            if isinstance(value := values[name], nn.Parameter):
                # straight through, so that a decay that left [0, 1] can come back
                values[name] = value + (value.clamp(0, 1) - value).detach()
        return values

    def init_state(self, batch: int) -> State:
        """The state at rest: zeros (batch, N)."""
        return {name: self.beta.new_zeros(batch, self.out_features) for name in self._state_names()}

    def _state_names(self) -> list[str]:
        return [name for name, _ in self.equations.states] + (["y"] if self.recurrent is not None else [])

    def step(self, state: State, x: Tensor) -> tuple[State, Tensor]:
        """One step: x (B, in_features) -> (state, y (B, N))."""
        if x.ndim != 2 or x.shape[1] != self.in_features:
            raise ValueError(f"found x of shape {tuple(x.shape)}, expected (B, {self.in_features})")
        self._check_state(state, x.shape[0])
        return self._advance(state, self._project(x), self._constants())

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """x (T, B, in_features) -> y (T, B, N) and the state after the last step."""
        if x.ndim != 3 or x.shape[0] == 0 or x.shape[2] != self.in_features:
            raise ValueError(
                f"found x of shape {tuple(x.shape)}, expected (T, B, {self.in_features}) with T > 0"
            )
        if x.dtype != self.beta.dtype:
            raise ValueError(
                f"found x of {x.dtype}, expected {self.beta.dtype}; convert x, or the layer by .to()"
            )
        state = self.init_state(x.shape[1]) if state is None else state
        self._check_state(state, x.shape[1])
        y, state = self._sequence(x, state)
        self._check_finite(x, state)
        return y, state

    def _sequence(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        constants = self._constants()
        if self.fused and _fused.applies(self.surrogate, x, constants):
            drive = self._project(x)
            own = self.linear is not None
            recurrence = None if self.recurrent is None else Recurrence(self.recurrent)
            return _fused.run(self.equations, self.surrogate, drive, state, constants, recurrence, own)
        outputs = []
        for row in self._project(x).unbind(0):
            state, y = self._advance(state, row, constants)
            outputs.append(y)
        return torch.stack(outputs), state

    def _project(self, x: Tensor) -> Tensor:
        return x if self.linear is None else linear(x, self.linear.weight, self.linear.bias)

    def _advance(self, state: State, x: Tensor, constants: dict[str, Tensor]) -> tuple[State, Tensor]:
        state = dict(state)
        if self.recurrent is not None:
            x = linear(state.pop("y"), self.recurrent, x)
        y, state = self.equations.evaluate(self.surrogate, x, **state, **constants)
        if self.recurrent is not None:
            state["y"] = y
        return state, y

    def _check_state(self, state: State, batch: int) -> None:
        expected, shape = sorted(self._state_names()), (batch, self.out_features)
        if sorted(state) != expected:
            raise ValueError(f"found a state with {sorted(state)}, expected {expected}: of another layer?")
        for name, value in state.items():
            if value.shape != shape:
                raise ValueError(f"found the state {name} of shape {tuple(value.shape)}, expected {shape}")

    def _check_finite(self, x: Tensor, state: State) -> None:
        """What is not finite stays so in a leaky membrane: its last value tells of all before."""
        v = state["v"].detach()
        if bool(torch.isfinite(v).all()):
            return
        bad = (~torch.isfinite(x)).nonzero()
        if len(bad):
            t, b, n = bad[0].tolist()
            raise ValueError(
                f"found {x[t, b, n].item()} in x at step {t}, batch {b}, feature {n}; expected finite input"
            )
        b, n = (~torch.isfinite(v)).nonzero()[0].tolist()
        raise ValueError(
            f"found {v[b, n].item()} in v of batch {b}, neuron {n} though x is finite: weights or the state "
            "given are not finite, or too large"
        )

    def extra_repr(self) -> str:
        recurrent = self.recurrent is not None
        return f"{self.in_features}, {self.out_features}, recurrent={recurrent}, fused={self.fused}"


__all__ = ["DynamicalLayer", "State"]
