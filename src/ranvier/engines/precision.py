"""Where float32 does not do: populations whose step is computed in float64 within a run of float32.

A step adds an increment to each variable. Rounding the sum, and the step's coefficients, leaves errors of about one
unit in the last place; what they do grows with the number of steps over which a variable remembers. A population is
computed in float64, and its variables are kept as pairs of float32 (48 bits), where

* a variable x of decay time tau would have a relative error u·tau/dt above `TOLERANCE` (u = 2⁻²⁴);
* a neuron without noise passes a place where V moves by less than `STALL` units in the last place a step;
* the equations read the time, or the refractory period has more than 2²⁴ steps;
* continuous synapses enter, whose currents are small differences of large numbers.

White noise and Poisson input on V dither its rounding, so that the second point does not apply to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import sympy as sp
import torch
from torch import Tensor

from ranvier.engines.step_model import StepModel
from ranvier.equations import StateVariable, symbol
from ranvier.equations.integrators import TIME, normal
from ranvier.equations.printing import torch_function
from ranvier.networks import Projection, TimeSeries
from ranvier.rules.precision import warn_of_losses

#: largest relative error of a variable in float32
TOLERANCE = 1e-4
#: units in the last place that V must move in a step where it is slowest; a period is then exact to 1e-3 or so
STALL = 500.0
UNIT = 2.0**-24
_POINTS = 129
_CHUNK, _TIMES = 512, 16


def needs_double(model: StepModel, dt: float) -> str | None:
    """Why a population's step is to be computed in float64, or None where float32 does."""
    values = {name: value.detach() for name, value in model.parameters().items()}
    if model.coupled:
        return "it has continuous synapses"
    if any(e.has(TIME) for e in _expressions(model)):
        return "its equations read the time"
    if model.refractory is not None and float(values[model.refractory].max()) / dt > 2.0**24:
        return f"its refractory period has {float(values[model.refractory].max()) / dt:g} steps, beyond 2^24"
    values |= {name: torch.zeros((), dtype=torch.float64) for name in model.varying}
    values |= next(_series(model))
    for name, memory in memories(model, values).items():
        longest = float(memory.max())
        if UNIT * longest / dt > TOLERANCE:
            return f"{name} forgets in {longest:g} ms, whose relative error is {UNIT * longest / dt:.1g}"
    margin = _least_motion(model, values, dt)
    if margin < STALL:
        return f"{model.states[0]} moves by {margin:.2g} units in the last place of float32 a step"
    return None


def memories(model: StepModel, values: dict[str, Tensor]) -> dict[str, Tensor]:
    """1/|∂(dx/dt)/∂x| in ms of each variable at the variables' initial values, at `values` of the parameters: one
    number or one a neuron; infinite of what only integrates, but 0 of a first variable that a threshold resets."""
    return {state.name: _memory(state, model, values) for state in model.equations}


def warn_of_rule(projection: Projection, dt: float, dtype: torch.dtype, *, every_trace: bool) -> None:
    """Warn of what float32 loses of a plastic projection's traces and changes (`ranvier.rules.precision`)."""
    if projection.plasticity is None:
        return
    largest = float(torch.as_tensor(projection.weight).detach().abs().max()) if projection.size else 0.0
    warn_of_losses(
        projection.plasticity, largest, dt, dtype, what=f"{projection!r}: ", remedy="use dtype=torch.float64",
        every_trace=every_trace, level=3,
    )  # fmt: skip


def _expressions(model: StepModel) -> list[sp.Basic]:
    out: list[Any] = [e for s in model.equations for e in (s.drift, *s.diffusion.values())]
    return [*out, *model.at_end]


def _series(model: StepModel) -> Iterator[dict[str, Tensor]]:
    """Values of the parameters that are time series, at up to `_TIMES` times; once nothing where there are none."""
    series = {k: v for k, v in model.population.parameters.items() if isinstance(v, TimeSeries)}
    count = min(_TIMES, max((len(v.values) for v in series.values()), default=1))
    for k in range(count):
        yield {
            name: v.values[k * (len(v.values) - 1) // max(count - 1, 1)].detach().to(torch.float64)
            for name, v in series.items()
        }


def _memory(state: StateVariable, model: StepModel, values: dict[str, Tensor]) -> Tensor:
    zero = torch.zeros((), dtype=torch.float64)
    if state.drift == 0:
        return zero
    slope = sp.diff(state.drift, symbol(state.name))
    if slope == 0:  # an integrator; the first variable's is looked at by its motion
        return zero if state.name == model.states[0] and model.threshold is not None else zero + torch.inf
    at = values | _start(model, values) if slope.free_symbols & _variables(model) else values
    slopes = torch_function({"slope": slope})(**at)["slope"].abs()
    return 1 / slopes.clamp(min=1e-300)


def _start(model: StepModel, values: dict[str, Tensor]) -> dict[str, Tensor]:
    out = {}
    for name in model.states:
        value: Any = model.population.initial.get(name, getattr(model.population.neuron, "initial", {}).get(name, 0.0))
        if isinstance(value, str):
            value = values[value]
        if hasattr(value, "low"):
            value = (value.low + value.high) / 2
        elif hasattr(value, "mean") and not isinstance(value, Tensor):
            value = value.mean
        out[name] = torch.as_tensor(value, dtype=torch.float64).detach()
    return out


def _least_motion(model: StepModel, values: dict[str, Tensor], dt: float) -> float:
    """The least |dV/dt|·dt between reset and threshold in units in the last place of V, of all neurons.

    The neuron's other variables are where they come to rest at that V, the synapses' are zero. Infinite where the
    rule does not apply: noise or Poisson input on V, no threshold V >= ..., no reset of V.
    """
    soma = model.states[0]
    equation = model.equations[0]
    if model.ceiling is None or soma not in model.reset:
        return float("inf")
    # a reset may start from V at threshold, as V = V - V_th does
    zero = {symbol(s): sp.Integer(0) for s in model.states[1:]}
    zero |= {normal(k): sp.Integer(0) for k in range(model.scheme.normals)}
    at_threshold = {symbol(soma): model.ceiling} | zero
    top, bottom = (
        torch_function({"x": e.xreplace(at_threshold).xreplace(_unhoisted(model))})(**values)["x"]
        for e in (model.ceiling, model.reset[soma])
    )
    if _dithered(model, values, dt, _ulp(top).max()):
        return float("inf")
    own = set(model.population.neuron.equations.names) - {soma}
    rest = {s.name: _resting(s) for s in model.equations if s.name in own}
    others = {symbol(s.name): sp.Integer(0) for s in model.equations[1:] if s.name not in own}
    if any(r is None for r in rest.values()):
        return float("inf")
    slope = equation.drift.xreplace({symbol(k): v for k, v in rest.items()}).xreplace(others)
    if slope.free_symbols & {symbol(k) for k in rest}:  # variables that depend on each other
        return float("inf")
    motion = torch_function({"slope": slope})
    margins = []
    for now in _series(model):
        here = values | now
        size = model.population.size if any(value.ndim for value in here.values()) else 1
        low, high = (x.expand(size) for x in (torch.minimum(bottom, top), top))
        for k in range(0, size, _CHUNK):
            part = slice(k, k + _CHUNK)
            at = {name: v[part] if v.ndim else v for name, v in here.items()}
            margins.append(_margin(lambda V, at=at: motion(**(at | {soma: V}))["slope"], low[part], high[part]))  # type: ignore[misc]
    return min(margins) * dt


def _dithered(model: StepModel, values: dict[str, Tensor], dt: float, ulp: Tensor) -> bool:
    """Whether white noise moves V by an ulp a step or more, or Poisson spikes come every thousand steps or more."""
    diffusion = model.equations[0].diffusion
    if diffusion:
        kicks = torch_function({xi: g for xi, g in diffusion.items() if not g.free_symbols & _variables(model)})
        if any(float(k.abs().min()) * dt**0.5 > float(ulp) for k in kicks(**values).values()):
            return True
    backgrounds = [b for port in model.ports for b in port.backgrounds]
    rates = [b.rate.values if isinstance(b.rate, TimeSeries) else torch.as_tensor(b.rate) for b in backgrounds]
    return any(float(rate.detach().min()) * dt / 1000 > 1e-3 for rate in rates)


def _variables(model: StepModel) -> set[sp.Symbol]:
    return {symbol(name) for name in model.states}


def _margin(motion: Callable[[Tensor], Tensor], low: Tensor, high: Tensor) -> float:
    """The least |dV/dt| in units in the last place of V: at its local minima that are no rest, and at the top."""
    parts = torch.linspace(0, 1, _POINTS, dtype=torch.float64)[:, None]
    V = low + (high - low) * parts
    speed = motion(V).expand(V.shape)
    last = torch.where(speed[-1] == 0, torch.inf, speed[-1].abs() / _ulp(V[-1])).min()
    inner = speed[1:-1].abs()
    dips = (inner <= speed[:-2].abs()) & (inner <= speed[2:].abs())
    dips &= (speed[1:-1] * speed[:-2] > 0) & (speed[1:-1] * speed[2:] > 0)
    if not dips.any():
        return float(last)
    at = torch.where(dips, inner, torch.inf).argmin(0, keepdim=True)
    finer = V.gather(0, at) + (V.gather(0, at + 2) - V.gather(0, at)) * parts
    dip = torch.where(dips.any(0), motion(finer).expand(V.shape).abs() / _ulp(finer), torch.inf)
    return float(torch.minimum(last, dip.min()))


def _ulp(x: Tensor) -> Tensor:
    return torch.exp2(torch.floor(torch.log2(x.abs().clamp(min=1e-30)))) * 2 * UNIT


def _unhoisted(model: StepModel) -> dict[sp.Symbol, sp.Expr]:
    return {symbol(name): value for name, value in model.hoisted.items()}


def _resting(state: StateVariable) -> sp.Expr | None:
    """Where a variable that is linear in itself comes to rest, given the others."""
    x = symbol(state.name)
    slope = sp.diff(state.drift, x)
    if slope == 0 or slope.has(x):
        return None
    return -state.drift.xreplace({x: sp.Integer(0)}) / slope


__all__ = ["STALL", "TOLERANCE", "memories", "needs_double", "warn_of_rule"]
