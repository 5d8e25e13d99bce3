"""Any neuron of the library, or of the user's, as a layer: fused from its equations."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any, Unpack

import sympy as sp
import torch
from torch import Tensor

from ranvier._steps import require_time
from ranvier.codegen.calls import transformed
from ranvier.engines.precision import memories
from ranvier.engines.step_model import StepModel, step_models
from ranvier.equations import exprel, symbol
from ranvier.equations.declarations import require_parameters
from ranvier.equations.printing import torch_function
from ranvier.equations.propagators import propagators
from ranvier.networks import Network
from ranvier.neurons import Neuron
from ranvier.nn.cell import CellState
from ranvier.nn.checks import require_finite
from ranvier.nn.spiking._spiking_layer import SpikingLayer, SpikingOptions
from ranvier.nn.spiking.layer import Features
from ranvier.nn.spiking.step import Step
from ranvier.synapses import Synapse

_INPUT, _LEFT = "in_0", "refractory_left"
_CALLS = (sp.exp, sp.log, sp.sin, sp.cos, sp.tanh, sp.cosh, sp.sinh, exprel)


class NeuronLayer(SpikingLayer):
    """A layer made by `from_neuron`; `model` is its step of dt, as the engines have it."""

    FIXED = SpikingLayer.FIXED | {"dt", "neuron", "synapse", "model"}

    def __init__(
        self,
        neuron: Neuron,
        in_features: Features | None,
        out_features: int | None,
        *,
        dt: float,
        synapse: Synapse | None,
        drive: float | Tensor,
        method: str | None,
        learn: Collection[str],
        **options: Unpack[SpikingOptions],
    ) -> None:
        super().__init__(in_features, out_features, **options)
        require_time(dt, "dt")
        self.neuron, self.dt, self.synapse = neuron, float(dt), synapse
        kind: Any = type(neuron)
        self.model, step = _described(kind, synapse, method)
        self._set_equations(step)
        self._hoisted = torch_function(self.model.hoisted)
        parameters = {**neuron.parameters, "drive": drive}
        used = {*neuron.equations.parameters, *(p for p in parameters if p == "g_L" and synapse is not None)}
        values = {name: value for name, value in parameters.items() if name in used}
        self._set_values(values, learn=learn)
        self._cached: tuple[Any, dict[str, Tensor]] | None = None
        self._constants()  # functions are made now, before any tracer follows

    def __getstate__(self) -> dict[str, Any]:
        # a function made by exec cannot be pickled, and what is cached belongs to parameters at their addresses
        return {**{k: v for k, v in self.__dict__.items() if k != "_hoisted"}, "_cached": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._hoisted = torch_function(self.model.hoisted)

    def init_state(self, batch: int) -> CellState:
        """The neuron's `initial`, no synaptic input and no refractoriness: (batch, *shape) each."""
        state = super().init_state(batch)
        for name, value in self.neuron.initial.items():
            start = getattr(self, value).detach() if isinstance(value, str) else torch.as_tensor(value)
            start = start.to(self._reference)
            if self.shape is None and start.ndim:
                raise ValueError(
                    f"there is one {value} a neuron in a layer of open shape; "
                    "expected a layer with a shape"
                )
            state[name] = start.expand(state[name].shape).clone()
        return state

    def _constants(self) -> dict[str, Tensor]:
        """The step's coefficients, in the layer's precision; computed in float64."""
        own = [getattr(self, name) for name in self._values]
        self._check_values(dict(zip(self._values, own, strict=True)))
        if own[0].device.type == "meta":  # shapes are all that there is
            like = own[0].new_empty(torch.broadcast_shapes(*(p.shape for p in own)))
            return dict.fromkeys(self.equations.parameters, like)
        fixed = not transformed() and not (torch.is_grad_enabled() and any(p.requires_grad for p in own))
        key = [(p.data_ptr(), p._version, p.device, p.dtype) for p in own] if fixed else []
        if fixed and self._cached is not None and self._cached[0] == key:
            return self._cached[1]
        values = {name: p.to("cpu", torch.float64) for name, p in zip(self._values, own, strict=True)}
        for port in self.model.ports:
            parameters = port.synapse.parameters.items()
            values |= {port.name(name): torch.as_tensor(v, dtype=torch.float64) for name, v in parameters}
        values["dt"] = torch.tensor(self.dt, dtype=torch.float64)
        if self.model.scheme.linear is not None:
            values |= propagators(self.model.scheme.linear, values, self.dt)
        values |= self._hoisted(**values)
        if self.model.refractory is not None:
            values["refractory_steps"] = torch.round(values[self.model.refractory].detach() / self.dt)
        like = self._reference
        constants = {name: values[name].to(like.device, like.dtype) for name in self.equations.parameters}
        if fixed:
            self._cached = key, constants
        return constants

    def _require_domains(self, values: dict[str, Tensor]) -> None:
        require_parameters(self.neuron, values, lambda name: f"{name} of the layer of {type(self.neuron).__name__}")

    def _steps_remembered(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        exact = {name: value.detach().to("cpu", torch.float64) for name, value in values.items()}
        for port in self.model.ports:
            parameters = port.synapse.parameters.items()
            exact |= {port.name(name): torch.as_tensor(v, dtype=torch.float64) for name, v in parameters}
        return {f"the decay of {name}": ms / self.dt for name, ms in memories(self.model, exact).items()}

    def _check_finite(self, x: Tensor, state: CellState) -> None:
        """A reset may hide what was not finite: x is looked at, too."""
        require_finite(x)
        super()._check_finite(x, state)

    def extra_repr(self) -> str:
        rebuilt = f"{type(self.neuron).__name__}, dt={self.dt}, method={self.model.scheme.method!r}"
        return f"{rebuilt}, {super().extra_repr()}"


def from_neuron(
    neuron: Neuron,
    in_features: Features | None = None,
    out_features: int | None = None,
    *,
    dt: float,
    synapse: Synapse | None = None,
    drive: float | Tensor = 0.0,
    method: str | None = None,
    learn: Collection[str] = (),
    **options: Unpack[SpikingOptions],
) -> NeuronLayer:
    """A neuron model as a trainable layer, `Cell` and torch module, with the very step that `rv.simulate` takes.

        rv.nn.from_neuron(rv.AdEx(), 100, 64, dt=0.1, synapse=rv.Exponential(tau=5.0), learn=("a", "tau_w"))

    The compiled loop and its adjoint derive from the neuron's equations, so a model of your own runs as fast. No
    gradient passes through the decision to reset; what the reset assigns has its gradient.

    Parameters
    ----------
    neuron : `rv.LIF()`, `rv.EIF()`, `rv.AdEx()`, ..., with parameters in ms, mV, pA, nS as it states, numbers or
        tensors that broadcast to the layer's shape. Its `initial` is the state at rest.
    in_features, out_features : as of `LIF`; with two, an nn.Linear before the neurons.
    dt : ms, one step.
    synapse : what the input W z + b (or x itself) is, as a weight of that synapse in its unit (docs/contracts.md):
        `rv.Delta()` a jump in mV, `rv.Exponential(tau)` an area in mV·ms, ... None: a current of that many mV during
        the step. A membrane needs some 15 mV to spike, and nn.Linear begins with weights below 1: scale
        `layer.linear.weight`, or set `drive`.
    drive : mV, constant input.
    method : an integrator of `ranvier.equations.integrators`; default as in `rv.simulate`.
    learn : names of the neuron's parameters, or "drive", that are nn.Parameters; the others are buffers.
    recurrent, recurrent_delay, surrogate, bias, fused, device, dtype : as of `LIF`; the surrogate's width is in mV,
        by default 1.

    The output are spikes, or the first variable of neurons that do not spike. The state is a dict of the
    equations' variables (B, *shape), those of the synapse with "_p0" after their names, and of refractory_left,
    in steps. Equations' noise is left out: add √(2 tau_m/dt)·noise·randn to a current x for white noise.

    Raises ValueError for sizes, shapes, parameters and methods that do not fit, and TypeError for neurons
    without equations.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> layer = rv.nn.from_neuron(rv.LIF(E_L=0.0, V_th=15.0, V_reset=0.0), dt=1.0, drive=20.0)
    >>> y, state = layer(torch.zeros(40, 1, 1))
    >>> int(y[:, 0, 0].argmax()) + 1  # steps to the first spike: 20 ln(20/5) = 27.7 ms
    28
    """
    if getattr(neuron, "equations", None) is None:
        raise TypeError(f"the value is {neuron!r}; expected a neuron with equations, such as rv.LIF()")
    return NeuronLayer(
        neuron, in_features, out_features, dt=dt, synapse=synapse, drive=drive, method=method, learn=learn, **options
    )


@lru_cache
def _described(kind: Any, synapse: Synapse | None, method: str | None) -> tuple[StepModel, Step]:
    model = _model(kind, synapse, method)
    return model, _step(model)


def _model(kind: type[Neuron], synapse: Synapse | None, method: str | None) -> StepModel:
    if synapse is not None and synapse.continuous:
        raise ValueError(
            f"the value is {synapse!r}, which needs no spikes; "
            "expected a synapse that spikes act on, or None"
        )
    if kind.equations.draws or kind.equations.events:
        what = "random numbers in its threshold or reset" if kind.equations.draws else "events besides spikes"
        raise ValueError(
            f"{kind.__name__} has {what}; expected none in a layer, whose step is a function of its input: simulate it"
        )
    net = Network()
    population = net.add(kind(), 1, method=method)
    if synapse is not None:
        net.background(population, rate=1.0, weight=1.0, synapse=synapse)
    elif not any(state.drift.has(symbol("I")) for state in kind.equations.states):
        raise ValueError(f"there is {kind.__name__} without an input I in its equations; expected synapse=rv.Delta()")
    return step_models(net, external=synapse is None)[0]


def _step(model: StepModel) -> Step:
    """The engines' step (docs/contracts.md) in order: deliver, integrate, threshold, reset."""
    lines = _Lines()
    now = {symbol(name): symbol(name) for name in model.states}
    outside = {symbol("external"): symbol(_INPUT)}
    soma, left = symbol(model.states[0]), symbol(_LEFT)

    def hold(name: str, value: sp.Expr, before: sp.Symbol) -> sp.Expr:
        return sp.Piecewise((before, left > 0), (value, True)) if name in model.held else value

    for name, value in model.deliver.items():
        now[symbol(name)] = lines.add(f"{name}_p9001", hold(name, value, symbol(name)))
    before = dict(now)
    for name, value in model.statements:
        lines.add(name.name, value.xreplace(before | outside))
    shared, results = sp.cse(
        [value.xreplace(before | outside) for value in model.result.values()],
        symbols=(symbol(f"shared_p{9100 + k}") for k in range(10_000)),
    )
    for name, value in shared:
        lines.add(name.name, value)
    for name, value in zip(model.result, results, strict=True):
        now[symbol(name)] = lines.add(f"{name}_p9002", hold(name, value, before[symbol(name)]))
    states = dict(now)
    if model.threshold is None:
        after = tuple((s.name, new.name) for s, new in states.items())
        return Step(tuple(lines.equations), after, states[soma].name, input=_INPUT)
    match model.threshold:
        case sp.Ge() | sp.Gt():
            distance = model.threshold.lhs - model.threshold.rhs
        case sp.Le() | sp.Lt():
            distance = model.threshold.rhs - model.threshold.lhs
        case _:
            raise ValueError(f"the threshold is {model.threshold}; expected one comparison such as V >= V_th")
    lines.add("distance_p9000", distance.xreplace(now))
    lines.equations.append(("spike_p9000", "spike(distance_p9000)"))
    y = symbol("spike_p9000")
    if model.refractory is not None:
        y = lines.add("y_p9000", sp.Piecewise((0, left > 0), (y, True)))
        lines.add("left_p9001", sp.Piecewise((symbol("refractory_steps"), y > 0), (sp.Max(left - 1, 0), True)))
        lines.equations.append(("left_p9002", "detach(left_p9001)"))
    for name, value in model.reset.items():
        new = sp.Piecewise((value.xreplace(now), y > 0), (now[symbol(name)], True))
        states[symbol(name)] = lines.add(f"{name}_p9003", new)
    after = tuple((s.name, new.name) for s, new in states.items())
    after += ((_LEFT, "left_p9002"),) if model.refractory is not None else ()
    strict = isinstance(model.threshold, sp.Gt | sp.Lt)
    return Step(tuple(lines.equations), after, y.name, input=_INPUT, strict=strict)


class _Lines:
    """Equations in order; every function call has its own line and is evaluated once."""

    def __init__(self) -> None:
        self.equations: list[tuple[str, str | sp.Expr]] = []
        self._calls: dict[sp.Expr, sp.Symbol] = {}

    def add(self, name: str, value: sp.Expr) -> sp.Symbol:
        self.equations.append((name, self._walk(sp.sympify(value))))
        return symbol(name)

    def _walk(self, value: Any) -> Any:
        if not value.args:
            return value
        rebuilt = value.func(*(self._walk(part) for part in value.args))
        if not isinstance(rebuilt, _CALLS):
            return rebuilt
        if rebuilt not in self._calls:
            self._calls[rebuilt] = symbol(f"call_p{9100 + len(self._calls)}")
            self.equations.append((self._calls[rebuilt].name, rebuilt))
        return self._calls[rebuilt]


__all__ = ["NeuronLayer", "from_neuron"]
