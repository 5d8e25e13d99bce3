"""What the layers given by a `Step` share: sizes, parameters, the state, and the two ways through time."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ranvier.codegen.calls import transformed
from ranvier.engines.surrogates import ArcTan, Surrogate
from ranvier.nn.cell import CellState, FixedAttributes, autocast_on, in_own_precision, is_hooked
from ranvier.nn.checks import holds_values, neuron, require_finite, require_state, require_tensor, require_values
from ranvier.nn.domains import DECAY, REAL, Domain, require_sizes
from ranvier.nn.plain_modules import at_every_step, call
from ranvier.nn.precision import steps_remembered, warn_of_long_memory
from ranvier.nn.spiking import _sequence
from ranvier.nn.spiking._recurrence import Delays, Recurrence, fed_back
from ranvier.nn.spiking.step import Step

Features = int | tuple[int, ...]
_BOUND = "bound what learns it, by a smaller learning rate or by clamping it after each step of the optimizer"


class DynamicalLayer(FixedAttributes):
    """A `Cell` whose step is a `Step`; see `LIF`.

    `shape` is the neurons' shape, (N,) or as many axes as wanted; None: that of each input.
    """

    FIXED = frozenset({"in_features", "out_features", "shape", "delays"})
    #: of the equations' parameters; learned ones of a `DECAY` are used clamped
    DOMAINS: ClassVar[dict[str, Domain]] = {}
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
        recurrent_delay: int | Tensor | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        sizes = in_features if isinstance(in_features, tuple) else () if in_features is None else (in_features,)
        for size in sizes:
            require_sizes(in_features=size)
        if out_features is not None:
            require_sizes(out_features=out_features)
        if out_features is not None and not isinstance(in_features, int):
            raise ValueError(f"in_features is {in_features!r} with out_features; expected one whole number")
        self.shape: tuple[int, ...] | None = (sizes or None) if out_features is None else (out_features,)
        self.in_features: Any = in_features
        self.linear = None
        if out_features is not None:
            self.linear = nn.Linear(sizes[0], out_features, bias=bias, device=device, dtype=dtype)
        self.out_features: Any = in_features if out_features is None else out_features
        self.fused = fused
        self.register_parameter("recurrent", None)
        self._values: tuple[str, ...] = ()
        self._checked_versions: list[tuple[int, int]] = []  # of the values that were found within their domains
        self._decays: tuple[str, ...] = ()
        self._integrators: tuple[str, ...] = ()  # what does not decay: remembered for as long as it runs
        self._like = {"device": device, "dtype": dtype}
        self._set_recurrence(recurrent_delay)

    def _set_equations(self, step: Step) -> None:
        self.equations = step
        _ = step.key, step.evaluate  # made now, before any tracer follows

    def _set_recurrence(self, delay: int | Tensor | None) -> None:
        """A learned weight (N, N) from every neuron's spikes to all, `delay` steps later; None: none."""
        if delay is None:
            self.delays = Delays()
            return
        if self.shape is None or len(self.shape) > 1:
            raise ValueError(f"the neurons have shape {self.shape}; expected one size (N,) for recurrent=True")
        require_values("recurrent_delay", delay)
        steps = torch.as_tensor(delay, device=None if isinstance(delay, Tensor) else "cpu")
        n = self.shape[0]
        if steps.is_floating_point() or steps.shape not in ((), (n,)) or bool((steps < 1).any()):
            raise ValueError(f"recurrent_delay is {delay}; expected whole numbers >= 1, one or ({n},)")
        self.delays = Delays(tuple(steps.reshape(-1).tolist()))
        _ = self.delays.groups  # made once, before any tracer follows
        weight = torch.empty(n, n, **self._like).uniform_(-1, 1) / math.sqrt(n)  # type: ignore[arg-type]
        self.recurrent = nn.Parameter(weight)

    def _set_values(self, values: dict[str, float | Tensor], *, learn: Collection[str]) -> None:
        """Check the equations' parameters against their domains and register them, learned or not."""
        learn = (learn,) if isinstance(learn, str) else tuple(learn)
        if unknown := [name for name in learn if name not in values]:
            raise ValueError(f"there is {unknown[0]!r} in learn; expected names among {', '.join(values)}")
        for name, number in values.items():
            # made and checked on the CPU: a meta device holds no values
            if isinstance(number, Tensor):
                value = number.detach().clone()
            else:
                value = torch.tensor(number, dtype=torch.float64, device="cpu")
            if not self._broadcasts(value.shape, self.shape):
                raise ValueError(
                    f"{name} has shape {tuple(value.shape)}; "
                    f"expected a number or a tensor that broadcasts to {self.shape}"
                )
            self.DOMAINS.get(name, REAL).require(name, value)
            value = value.to(**self._like_values())
            if name in learn:
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)
        self._values = tuple(values)
        self._decays = tuple(name for name in values if self.DOMAINS.get(name) is DECAY)

    @staticmethod
    def _broadcasts(value_shape: tuple[int, ...], shape: tuple[int, ...] | None) -> bool:
        if shape is None or not value_shape:
            return True
        try:
            return torch.broadcast_shapes(value_shape, shape) == shape
        except RuntimeError:
            return False

    def _like_values(self) -> dict[str, Any]:
        device = self._like["device"] or torch.get_default_device()
        return {"device": device, "dtype": self._like["dtype"] or torch.get_default_dtype()}

    @property
    def _reference(self) -> Tensor:
        """Whose device and precision the layer has."""
        return getattr(self, self._values[0])

    def _constants(self) -> dict[str, Tensor]:
        """The equations' parameters as they are used."""
        values = {name: getattr(self, name) for name in self._values}
        self._check_values(values)
        for name in self._decays:
            if name not in self._buffers:
                value = values[name]
                # straight through, so that a decay that left [0, 1] can come back
                values[name] = value + (value.clamp(0, 1) - value).detach()
        return values

    def _check_values(self, values: dict[str, Tensor]) -> None:
        """Refuse parameters that training, a file or the user moved out of their domains: once for every change."""
        if torch.compiler.is_compiling() or any(v.is_inference() for v in values.values()):
            return
        versions = [(id(v), v._version) for v in values.values()]
        if versions == self._checked_versions or transformed():
            return
        self._require_domains(values)
        if holds_values(self._reference):
            memories = self._steps_remembered(values)
            self._integrators = tuple(name for name, steps in memories.items() if bool(steps.isinf().any()))
            warn_of_long_memory(self, memories, self._reference.dtype)
        self._checked_versions = versions

    def _steps_remembered(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """For how many steps each variable is remembered, by the name of what sets it."""
        return {name: steps_remembered(values[name]) for name in self._decays}

    def _require_domains(self, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            domain = self._domain(name)
            learned = name not in self._buffers
            clamped = learned and name in self._decays and domain is DECAY  # used clamped
            remedy = _BOUND if learned else f"set {name} again"
            (REAL if clamped else domain).require(f"{name} of {type(self).__name__}", value, remedy)

    def _domain(self, name: str) -> Domain:
        return self.DOMAINS.get(name, REAL)

    def init_state(self, batch: int) -> CellState:
        """The state at rest: zeros (batch, *shape); zeros (batch,), for all neurons, if the shape is open."""
        state = {name: self._reference.new_zeros(batch, *(self.shape or ())) for name, _ in self.equations.states}
        if self.recurrent is not None:
            assert self.shape is not None
            state[self.delays.name] = self._reference.new_zeros(self.delays.shape(batch, self.shape[0]))
        return state

    def step(self, state: CellState, x: Tensor) -> tuple[CellState, Tensor]:
        """One step: x (B, in_features), or (B, *shape) -> (state, y (B, *shape)). Raises what `forward` raises; where
        hooks are set on the layer they see `forward` of a sequence of one."""
        if not isinstance(x, Tensor):
            require_tensor(x)
        expected = self._input_shape()
        if x.ndim < 2 or (expected is not None and x.shape[1:] != expected):
            raise ValueError(f"x has shape {tuple(x.shape)}; expected {_text('B', expected)}")
        if is_hooked(self) or autocast_on(x):
            y, state = self(x[None], state)
            return state, y[0]
        require_tensor(x, self._reference)
        state = self._checked_state(state, x.shape)
        current = x if self.linear is None else call(self.linear, x)
        after, y = self._advance(state, current, self._constants(), self.recurrent)
        self._check_finite(x[None], after)
        return after, y

    @in_own_precision
    def forward(self, x: Tensor, state: CellState | None = None) -> tuple[Tensor, CellState]:
        """x (T, B, in_features), or (T, B, *shape) -> y (T, B, *shape) and the state after the last step."""
        require_tensor(x)
        expected = self._input_shape()
        if x.ndim < 3 or x.shape[0] == 0 or (expected is not None and x.shape[2:] != expected):
            raise ValueError(f"x has shape {tuple(x.shape)}; expected {_text('T, B', expected)} with T > 0")
        require_tensor(x, self._reference)
        state = self._checked_state(self.init_state(x.shape[1]) if state is None else state, x.shape[1:])
        y, after = self._sequence(x, state)
        if self._integrators:
            warn_of_long_memory(self, dict.fromkeys(self._integrators, float(x.shape[0])), x.dtype)
        self._check_finite(x, after)
        return y, after

    def _input_shape(self) -> tuple[int, ...] | None:
        return self.shape if self.linear is None else (self.in_features,)

    def _sequence(self, x: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        constants = self._constants()
        if self.fused and _sequence.applies(self.surrogate, x, constants):
            drive, shape = self._project(x), x.shape[2:] if self.shape is None else self.shape
            own = self.linear is not None
            recurrence, weight = None, self.recurrent
            if weight is not None:
                recurrence = Recurrence(self.delays, state[self.delays.name], weight)
            if len(shape) > 1:
                drive, state = drive.flatten(2), {name: value.flatten(1) for name, value in state.items()}
            flat = {k: v if v.ndim == 0 else v.expand(shape).reshape(-1) for k, v in constants.items()}
            y, after = _sequence.run(self.equations, self.surrogate, drive, state, flat, recurrence, own)
            if len(shape) > 1:
                y, after = y.unflatten(2, shape), {name: value.unflatten(1, shape) for name, value in after.items()}
            return y, after
        outputs, weight = [], self.recurrent
        for row in self._project(x).unbind(0):
            state, y = self._advance(state, row, constants, weight)
            outputs.append(y)
        return torch.stack(outputs), state

    def _project(self, x: Tensor) -> Tensor:
        return x if self.linear is None else at_every_step(self.linear, x)

    def _advance(
        self, state: CellState, x: Tensor, constants: dict[str, Tensor], weight: Tensor | None
    ) -> tuple[CellState, Tensor]:
        if weight is None:
            y, state = self.equations.evaluate(self.surrogate, x, **state, **constants)
            return state, y
        state, name = dict(state), self.delays.name
        sent = state.pop(name)
        x = fed_back(sent, self.delays, weight, x)
        y, state = self.equations.evaluate(self.surrogate, x, **state, **constants)
        return {**state, name: self.delays.after(sent, y)}, y

    def _checked_state(self, state: CellState, x: tuple[int, ...]) -> CellState:
        """The state for inputs of shape x (B, ...); one of zeros (B,), at rest, takes the open shape of x."""
        batch, shape = x[0], tuple(x[1:]) if self.shape is None else self.shape
        expected = {name: (batch, *shape) for name, _ in self.equations.states}
        if self.recurrent is not None:
            expected[self.delays.name] = self.delays.shape(batch, shape[0])
        if self.shape is None and isinstance(state, Mapping):
            rest = {n: v.reshape(batch, *[1] * len(shape)) for n, v in state.items() if v.shape == (batch,)}
            state = {**state, **{n: v.expand(batch, *shape) for n, v in rest.items()}}
        require_state(state, expected, self._reference)
        return dict(state)

    def _check_finite(self, x: Tensor, state: CellState) -> None:
        """What is not finite stays so in a leaky membrane: its last value shows whether all before were finite."""
        name = self.equations.states[0][0]
        v = state[name].detach()
        if not holds_values(v) or math.isfinite(v.sum().item()):
            return
        require_finite(x)
        bad = (~torch.isfinite(v)).nonzero()
        if len(bad):
            b, *n = bad[0].tolist()
            raise ValueError(
                f"there is {v[tuple(bad[0])].item()} in {name} of batch {b}, neuron {neuron(n)} though x is "
                "finite; expected finite weights and a finite state, not too large"
            )

    def extra_repr(self) -> str:
        sizes = ", ".join(str(s) for s in (self.in_features, self.out_features) if s is not None)
        return f"{sizes or 'any shape'}, recurrent={self.recurrent is not None}, fused={self.fused}"


def _text(axes: str, shape: tuple[int, ...] | None) -> str:
    return f"({axes}, ...)" if shape is None else f"({', '.join([axes, *map(str, shape)])})"


__all__ = ["CellState", "DynamicalLayer", "Features"]
