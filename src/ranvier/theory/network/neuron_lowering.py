"""A population's equations as the drift, noise, threshold and reset of one-variable neurons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import sympy as sp
import torch
from torch import Tensor

from ranvier.equations import Equations, symbol
from ranvier.equations.printing import torch_function
from ranvier.networks import Population, TimeSeries
from ranvier.theory.network.groups import NeuronGroup


def require_constant(values: Mapping[str, Any], name: str) -> None:
    """Raise ValueError where something changes in time."""
    for key, value in values.items():
        if isinstance(value, TimeSeries):
            raise ValueError(
                f"the {key} of {name} changes in time; a stationary prediction needs a number. "
                "Give its mean, or follow the density with ranvier.theory.evolve"
            )


def neuron_group(population: Population) -> NeuronGroup:
    """The population's neurons for the theory.

    With dV/dt = f(V, I) + g xi: tau = 1/(df/dI), so that I and the force F = tau f are in mV, and
    sigma^2 = tau g^2/2 (Sum of g^2 for several noises).

    Raises ValueError, naming the population, where the theory does not hold.
    """
    equations: Equations = population.neuron.equations
    name = f"population {population.name!r} of {type(population.neuron).__name__}"
    _require_one_variable(equations, name)
    require_constant(population.parameters, name)
    values = {
        key: torch.as_tensor(value, dtype=torch.float64).expand(population.size)
        for key, value in population.parameters.items()
    }
    model = _compiled(equations, name)
    own = {key: value for key, value in values.items() if key in equations.parameters}

    def drift(V: Tensor, I: Tensor, own: dict[str, Tensor]) -> Tensor:
        return model["drift"](**own, V=V, I=I)

    def value_of(what: str) -> Tensor:
        return model[what](**values).expand(population.size)

    zero = torch.zeros(population.size, dtype=torch.float64)
    tau = value_of("tau")
    return NeuronGroup(
        name=name,
        index=torch.arange(population.start, population.start + population.size),
        drift=drift,
        parameters=own,
        tau=tau,
        variance=tau * value_of("intensity") / 2,
        V_th=value_of("V_th"),
        V_reset=value_of("V_reset"),
        t_ref=zero + values[equations.refractory] if equations.refractory else zero,
        receives=symbol("I") in equations.states[0].drift.free_symbols,
    )


@lru_cache(maxsize=64)
def _compiled(equations: Equations, name: str) -> dict[str, Callable[..., Tensor]]:
    """drift (of V, I and the parameters), and of the parameters alone tau, intensity g^2, V_th, V_reset."""
    (state,) = equations.states
    V, current = symbol(state.name), symbol("I")
    if symbol("t") in state.drift.free_symbols:
        raise ValueError(f"the equation of {name} depends on t; a stationary prediction needs one without")
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


def _require_one_variable(equations: Equations, name: str) -> None:
    if equations.threshold is None:
        raise ValueError(
            f"{name} never spikes; this theory is of spiking neurons. Graded networks have the linear noise "
            "approximation, for networks that are graded throughout"
        )
    if len(equations.names) != 1:
        raise ValueError(
            f"{name} has {len(equations.names)} variables ({', '.join(equations.names)}); threshold "
            "integration needs neurons of one. Use LIF, QIF or EIF, with the adaptation's mean in the drive, "
            "or simulate"
        )
    if equations.refractory and not equations.held:
        raise ValueError(f"{name} is not held at its reset while refractory; the theory needs holds=True")


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
