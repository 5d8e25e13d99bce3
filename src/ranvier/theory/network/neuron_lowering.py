"""A population's equations as the drift, noise, threshold and reset of one-variable neurons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import sympy as sp
import torch
from torch import Tensor

from ranvier.equations import Equations, symbol
from ranvier.equations.printing import torch_function
from ranvier.networks import Population, TimeSeries
from ranvier.neurons import Poisson, Source
from ranvier.theory.network.groups import NeuronGroup


def require_constant(values: Mapping[str, Any], name: str) -> None:
    """Raise ValueError where something changes in time."""
    for key, value in values.items():
        if isinstance(value, TimeSeries):
            raise ValueError(
                f"the {key} of {name} changes in time; expected a number for a stationary prediction: give its "
                "mean, or follow the density with ranvier.theory.evolve"
            )


def require_poisson(population: Population) -> None:
    """Raise ValueError for a source whose trains are no independent Poisson trains."""
    if isinstance(population.neuron, Source) and not isinstance(population.neuron, Poisson):
        kind = type(population.neuron).__name__
        raise ValueError(
            f"population {population.name!r} has spikes of {kind}; expected independent Poisson trains, which the "
            "theory takes as white noise: use rv.Poisson(rate) in its place, or simulate"
        )


def neuron_group(population: Population) -> NeuronGroup:
    """The population's neurons for the theory.

    With dV/dt = f(V, I) + g xi: tau = 1/(df/dI), so that I and the force F = tau f are in mV, and
    sigma^2 = tau g^2/2 (Sum of g^2 for several noises).

    Raises ValueError, naming the population, where the theory does not hold.
    """
    equations: Equations = population.neuron.equations
    name = f"population {population.name!r} of {type(population.neuron).__name__}"
    require_spikes_alone(equations, name)
    slow = slow_variable(equations)
    _require_one_variable(equations, name, slow)
    require_constant(population.parameters, name)
    values = {
        key: torch.as_tensor(value, dtype=torch.float64).expand(population.size)
        for key, value in population.parameters.items()
    }
    model = _compiled(equations, name)
    own = {key: value for key, value in values.items() if key in equations.parameters}
    if slow is not None:
        own[slow] = torch.zeros(population.size, dtype=torch.float64)

    def value_of(what: str) -> Tensor:
        return model[what](**values).expand(population.size)

    zero = torch.zeros(population.size, dtype=torch.float64)
    tau = value_of("tau")
    return NeuronGroup(
        name=name,
        index=torch.arange(population.start, population.start + population.size),
        drift=_Drift(equations, name),
        parameters=own,
        tau=tau,
        variance=tau * value_of("intensity") / 2,
        V_th=value_of("V_th"),
        V_reset=value_of("V_reset"),
        t_ref=zero + values[equations.refractory] if equations.refractory else zero,
        receives=symbol("I") in equations.states[0].drift.free_symbols,
    )


@dataclass(frozen=True)
class _Drift:
    """dV/dt of a population's equations without noise."""

    equations: Equations
    name: str

    def __call__(self, V: Tensor, I: Tensor, own: dict[str, Tensor]) -> Tensor:
        return _compiled(self.equations, self.name)["drift"](**own, V=V, I=I)


class Adaptation(NamedTuple):
    """A slow variable w of M neurons: dw/dt = (level + slope V - w)/tau, w += jump at a spike, as `current` mV of input
    per unit of w; `name` of w. (M,) each."""

    name: str
    current: Tensor
    tau: Tensor
    level: Tensor
    slope: Tensor
    jump: Tensor


def adaptation(population: Population) -> Adaptation | None:
    """The population's slow variable; None where it has none."""
    equations = getattr(population.neuron, "equations", None)
    name = None if equations is None or equations.threshold is None else slow_variable(equations)
    if name is None:
        return None
    functions = _adaptation(equations, name)
    size = population.size
    values = {k: torch.as_tensor(v, dtype=torch.float64).expand(size) for k, v in population.parameters.items()}
    return Adaptation(name, *(f(**values).expand(size) for f in functions))


@lru_cache(maxsize=64)
def slow_variable(equations: Equations) -> str | None:
    """The name of the second of two variables, where it is linear and slow: an adaptation."""
    if len(equations.names) != 2:
        return None
    V, w = (symbol(n) for n in equations.names)
    soma, other = equations.states
    after = equations.reset.get(equations.names[1], w)
    linear = sp.diff(other.drift, w).free_symbols | sp.diff(other.drift, V).free_symbols
    linear |= sp.diff(soma.drift, w).free_symbols | sp.simplify(after - w).free_symbols
    if linear & {V, w, symbol("I")} or other.diffusion or other.drift.has(symbol("I"), symbol("t")):
        return None
    return equations.names[1] if sp.diff(other.drift, w) != 0 else None


@lru_cache(maxsize=64)
def _adaptation(equations: Equations, name: str) -> list[Callable[..., Tensor]]:
    V, w = (symbol(n) for n in equations.names)
    soma, other = equations.states
    tau = -1 / sp.diff(other.drift, w)
    per_input = sp.diff(soma.drift, symbol("I"))
    current = sp.diff(soma.drift, w) / (per_input if per_input != 0 else 1)
    level = (other.drift * tau).subs({V: 0, w: 0})
    slope = sp.diff(other.drift, V) * tau
    jump = sp.simplify(equations.reset.get(name, w) - w)
    return [_function(sp.simplify(x)) for x in (current, tau, level, slope, jump)]


@lru_cache(maxsize=64)
def _compiled(equations: Equations, name: str) -> dict[str, Callable[..., Tensor]]:
    """drift (of V, I and the parameters), and of the parameters alone tau, intensity g^2, V_th, V_reset."""
    state = equations.states[0]
    V, current = symbol(state.name), symbol("I")
    if symbol("t") in state.drift.free_symbols:
        raise ValueError(f"the equation of {name} depends on t; expected one that does not for a stationary prediction")
    per_mV = sp.simplify(sp.diff(state.drift, current))
    intensity = sp.simplify(sp.Add(*(g**2 for g in state.diffusion.values())))
    for what, expression in (("its input I", per_mV), ("its noise", intensity)):
        if expression.free_symbols & {V, current}:
            raise ValueError(f"{what} of {name} enters with a factor that depends on V; expected a constant")
    tau = 1 / per_mV if per_mV != 0 else sp.Integer(1)
    bound, reset = _bound(equations, V, name), _reset(equations, state.name, name)
    expressions = {"tau": tau, "intensity": intensity, "V_th": bound, "V_reset": reset}
    functions = {key: _function(expression) for key, expression in expressions.items()}
    return functions | {"drift": _function(state.drift.xreplace({V: symbol("V")}))}


def _function(expression: sp.Expr) -> Callable[..., Tensor]:
    f = torch_function({"x": sp.sympify(expression)})
    return lambda **values: f(**values)["x"].to(torch.float64)


def require_spikes_alone(equations: Equations, name: str) -> None:
    """Raise ValueError for what happens by chance at a step's end, and for events besides spikes."""
    if equations.draws or equations.events:
        what = f"events besides spikes ({', '.join(equations.events)})"
        what = "random numbers in its threshold or reset" if equations.draws else what
        raise ValueError(f"{name} has {what}; expected none for a prediction: simulate it")


def _require_one_variable(equations: Equations, name: str, slow: str | None) -> None:
    if equations.threshold is None:
        raise ValueError(
            f"{name} never spikes; expected spiking neurons, or a network that is graded throughout, which has "
            "the linear noise approximation"
        )
    if len(equations.names) != 1 and slow is None:
        raise ValueError(
            f"{name} has {len(equations.names)} variables ({', '.join(equations.names)}); expected one for "
            "threshold integration, or of one and an adaptation w with dw/dt = (a V + c - w)/tau_w and w = w + b "
            "at spikes: use LIF, QIF, EIF or AdEx, or simulate"
        )
    if equations.refractory and not equations.held:
        raise ValueError(f"{name} is not held at its reset while refractory; expected holds=True")


def _bound(equations: Equations, V: sp.Symbol, name: str) -> sp.Expr:
    condition: Any = equations.threshold
    if isinstance(condition, sp.Le | sp.Lt):
        condition = condition.reversed
    if not isinstance(condition, sp.Ge | sp.Gt) or condition.lhs != V or condition.rhs.has(V):
        raise ValueError(
            f"{name} has the threshold {equations.threshold_text!r}; expected one such as 'V >= V_th'"
        )
    return condition.rhs


def _reset(equations: Equations, variable: str, name: str) -> sp.Expr:
    after = equations.reset.get(variable)
    if after is None or after.has(symbol(variable)):
        raise ValueError(f"{name} has the reset {equations.reset_text!r}; expected one such as 'V = V_reset'")
    return after
