"""What both engines run: a population's equations joined with those of its synapses, as one step of dt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy as sp
import torch
from torch import Tensor

from ranvier.engines.bridge import START, bridged
from ranvier.equations import Equations, Event, StateVariable, parse, symbol
from ranvier.equations.draws import with_draws
from ranvier.equations.integrators import DT, TIME, Scheme, make_scheme
from ranvier.equations.printing import torch_function
from ranvier.equations.propagators import propagators
from ranvier.networks import Background, Distribution, Network, Population, Projection, TimeSeries
from ranvier.synapses import Delta, Electrical, Jump, Proportional, Sigmoidal, Synapse


@dataclass(frozen=True)
class Port:
    """Where the synapses of one kind enter a population: one summed input a neuron and step."""

    index: int
    synapse: Synapse
    projections: tuple[Projection, ...]
    backgrounds: tuple[Background, ...]

    def name(self, text: str) -> str:
        """The name in the joint system of the synapse's variable or parameter `text`."""
        return f"{text}_p{self.index}"

    @property
    def input(self) -> sp.Symbol:
        """The summed input; of continuous synapses, at the step's start."""
        return symbol(f"in_{self.index}")

    @property
    def end(self) -> sp.Symbol:
        """The summed input of continuous synapses at the step's end."""
        return symbol(f"end_{self.index}")


@dataclass(frozen=True)
class StepModel:
    """One step of a population, in SymPy. Names not in `states`, `inputs`, `normals` are coefficients.

    deliver: state -> its value after this step's input; statements and result: the integrator's;
    threshold, reset, events: as in the equations, of the new values and the time at the step's end; held: the variables
    that rest while refractory; equations: of the neuron and its synapses together; ceiling: what the first variable
    does not pass before it is reset; start: the name of V once what arrives has come, where the threshold reads it.
    """

    population: Population
    equations: tuple[StateVariable, ...]
    states: tuple[str, ...]
    ports: tuple[Port, ...]
    scheme: Scheme
    deliver: dict[str, sp.Expr]
    statements: tuple[tuple[sp.Symbol, sp.Expr], ...]
    result: dict[str, sp.Expr]
    threshold: sp.Basic | None
    reset: dict[str, sp.Expr]
    refractory: str | None
    held: tuple[str, ...]
    varying: tuple[str, ...]
    ceiling: sp.Expr | None = None
    hoisted: dict[str, sp.Expr] = field(default_factory=dict)
    start: str | None = None
    events: tuple[Event, ...] = ()

    @property
    def at_end(self) -> list[sp.Basic]:
        """Threshold, reset and events: all that is asked for, or done, at a step's end."""
        out: list[sp.Basic] = [*self.reset.values(), *([] if self.threshold is None else [self.threshold])]
        for event in self.events:
            out += [event.condition, *event.statements.values()]
        return out

    @property
    def coupled(self) -> tuple[Port, ...]:
        """The ports of continuous synapses."""
        return tuple(port for port in self.ports if port.synapse.continuous)

    @property
    def coefficients(self) -> tuple[str, ...]:
        """The constants that a step uses, sorted."""
        expressions: list[Any] = [*self.deliver.values(), *self.result.values(), *self.at_end]
        expressions += [e for _, e in self.statements]
        expressions += [] if self.ceiling is None else [self.ceiling]
        used = {s.name for e in expressions for s in e.free_symbols}
        defined = {s.name for s, _ in self.statements} | set(self.states) | set(self.varying)
        defined |= {START.name} | {p.input.name for p in self.ports} | {f"N_{k}" for k in range(self.scheme.normals)}
        return tuple(sorted(used - defined))

    def evaluate(self, dt: float) -> dict[str, Tensor]:
        """The coefficients' values, () or (neurons,), float64; gradients flow to the network's tensors."""
        values = self.parameters() | {"dt": torch.tensor(dt, dtype=torch.float64)}
        if self.scheme.linear is not None:
            values |= propagators(self.scheme.linear, values, dt)
        values |= torch_function(self.hoisted)(**values) if self.hoisted else {}
        out = {name: values[name] for name in self.coefficients}
        if self.refractory is not None:
            out["refractory_steps"] = torch.round(values[self.refractory].detach() / dt)
        return out

    def parameters(self) -> dict[str, Tensor]:
        """All parameters of the population and its synapses, () or (neurons,), float64."""
        values = {k: v for k, v in self.population.parameters.items() if not isinstance(v, TimeSeries)}
        for port in self.ports:
            values |= {port.name(k): v for k, v in port.synapse.parameters.items()}
        return {k: torch.as_tensor(v, dtype=torch.float64) for k, v in values.items()}


def step_models(net: Network, external: bool = False, *, threshold: str = "step") -> dict[int, StepModel]:
    """The step of every population that has equations, by the population's index.

    `external` adds an input of that name (mV), which changes from step to step; `threshold` as of `simulate`.
    """
    return {
        population.index: _step_model(population, ports_of(net, population), external, threshold == "bridge")
        for population in net.populations
        if getattr(population.neuron, "equations", None) is not None
    }


def ports_of(net: Network, population: Population) -> tuple[Port, ...]:
    """The synapse kinds that reach a population, in order of their first use."""
    projections = [p for p in net.projections if p.target is population]
    backgrounds = [b for b in net.backgrounds if b.target is population]
    kinds = dict.fromkeys([p.synapse for p in projections] + [b.synapse for b in backgrounds])
    return tuple(
        Port(
            k,
            kind,
            tuple(p for p in projections if p.synapse == kind),
            tuple(b for b in backgrounds if b.synapse == kind),
        )
        for k, kind in enumerate(kinds)
    )


def _step_model(population: Population, ports: tuple[Port, ...], external: bool, bridge: bool) -> StepModel:
    equations: Equations = population.neuron.equations
    soma = equations.names[0]
    varying = ["t", *(k for k, v in population.parameters.items() if isinstance(v, TimeSeries))]
    current, states, deliver = _inputs(population, ports, soma)
    if external:
        current += symbol("external")
        varying.append("external")
    own = {symbol("I"): current}
    if _is_zero(population.parameters.get("noise", 0.0)):
        own[symbol("noise")] = sp.Integer(0)
    joint = [
        StateVariable(s.name, s.drift.xreplace(own), _diffusion(s, own), s.unit) for s in equations.states
    ] + states
    coupled = [p for p in ports if p.synapse.continuous]
    varying += [name for p in coupled for name in (p.input.name, p.end.name)]
    ceiling = _ceiling(equations, soma)
    scheme = make_scheme(
        joint,
        method=getattr(population, "method", None),
        varying=varying,
        ceiling=ceiling,
        ramps={p.input.name: p.end.name for p in coupled},
        damping={s.name: _damping(s, current, soma) for s in equations.states[:1] if current.has(symbol(soma))},
    )
    threshold = equations.threshold
    if bridge := bridge and threshold is not None:
        name = f"population {population.name!r} of {type(population.neuron).__name__}"
        scheme, threshold = bridged(scheme, equations, ceiling, name)
    scheme, drawn = with_draws(scheme, equations.draws)
    changing = {START, *(symbol(s.name) for s in joint)} | {s for s, _ in scheme.statements}
    changing |= {symbol(v) for v in varying} | {p.input for p in ports} | {TIME}
    changing |= {symbol(f"N_{k}") for k in range(scheme.normals)}
    hoist = _Hoist(changing)
    at_end = {TIME: TIME + DT} | drawn
    return StepModel(
        population=population,
        equations=tuple(joint),
        states=tuple(s.name for s in joint),
        ports=ports,
        scheme=scheme,
        deliver={k: hoist(v) for k, v in deliver.items()},
        statements=tuple((s, hoist(e)) for s, e in scheme.statements),
        result={k: hoist(v) for k, v in scheme.result.items()},
        threshold=None if threshold is None else hoist(threshold.xreplace(at_end)),
        reset={k: hoist(v.xreplace(at_end)) for k, v in equations.reset.items()},
        refractory=equations.refractory,
        held=equations.held if equations.refractory is not None else (),
        varying=tuple(varying),
        ceiling=None if ceiling is None else hoist(ceiling[1].xreplace(at_end)),
        hoisted=hoist.constants,
        start=START.name if bridge else None,
        events=tuple(
            Event(hoist(e.condition.xreplace(at_end)), {k: hoist(v.xreplace(at_end)) for k, v in e.statements.items()})
            for e in equations.events.values()
        ),
    )


def _inputs(
    population: Population, ports: tuple[Port, ...], soma: str
) -> tuple[sp.Expr, list[StateVariable], dict[str, sp.Expr]]:
    """The total input I, the synapses' states, and what delivery does to each state."""
    current: sp.Expr = sp.Integer(0)
    states: list[StateVariable] = []
    deliver: dict[str, sp.Expr] = {}
    for port in ports:
        synapse = port.synapse
        rename = {symbol(k): symbol(port.name(k)) for k in synapse.parameters}
        if synapse.equations is not None:
            rename |= {symbol(k): symbol(port.name(k)) for k in synapse.equations.names}
            states += [StateVariable(port.name(s.name), s.drift.xreplace(rename)) for s in synapse.equations.states]
        for name, size in synapse.jump_sizes().items():
            deliver[port.name(name)] = symbol(port.name(name)) + size.xreplace(rename) * port.input
        if isinstance(synapse, Delta | Jump):
            name = soma if isinstance(synapse, Delta) or synapse.onto == "V" else synapse.onto
            deliver[name] = deliver.get(name, symbol(name)) + port.input
        term = _current(port, synapse, states).xreplace(rename | {symbol("V"): symbol(soma)})
        if term.has(symbol("g_L")) and "g_L" not in population.parameters:
            raise ValueError(
                f"population {population.name!r} of {type(population.neuron).__name__} has no leak conductance "
                f"g_L (nS), which {type(synapse).__name__} needs; expected it: give the model a parameter `g_L: "
                "float = ...`"
            )
        current += term
    if current != 0 and not any(s.drift.has(symbol("I")) for s in population.neuron.equations.states):
        raise ValueError(
            f"population {population.name!r} of {type(population.neuron).__name__} receives synapses, but its "
            "equations have no input I; expected one in mV: add I to them, or use Delta synapses"
        )
    return current, states, deliver


def _current(port: Port, synapse: Synapse, states: list[StateVariable]) -> sp.Expr:
    if isinstance(synapse, Electrical):  # what enters is Σ w (V_source − V), solved for the network as a whole
        return port.input / symbol("g_L")
    if isinstance(synapse, Proportional):
        return port.input
    if isinstance(synapse, Sigmoidal):
        activity: sp.Expr = port.input
        if synapse.tau > 0:
            s, tau = symbol(port.name("s")), symbol(port.name("tau"))
            states.append(StateVariable(s.name, (port.input - s) / tau))
            activity = s
        return activity if synapse.E_rev is None else activity * parse("(E_rev - V)/g_L")
    return parse(synapse.current)


def _damping(soma: StateVariable, current: sp.Expr, name: str) -> sp.Expr:
    """∂drift/∂V by way of the synapses' current, 1/ms: minus their conductance over the capacitance."""
    return sp.diff(soma.drift, symbol("I")) * sp.diff(current, symbol(name))


def _diffusion(state: StateVariable, own: Mapping[sp.Symbol, sp.Expr]) -> dict[str, sp.Expr]:
    replaced = {xi: g.xreplace(own) for xi, g in state.diffusion.items()}
    return {xi: g for xi, g in replaced.items() if g != 0}


def _is_zero(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not value.requires_grad and not bool(value.any())
    return value == 0.0


def _ceiling(equations: Equations, soma: str) -> tuple[str, sp.Expr] | None:
    if soma not in equations.reset:  # the upstroke goes on beyond the threshold
        return None
    match equations.threshold:
        case sp.Ge(lhs=sp.Symbol(name=name), rhs=rhs) | sp.Gt(lhs=sp.Symbol(name=name), rhs=rhs):
            if name == soma and not rhs.free_symbols & {symbol(x) for x in (*equations.names, *equations.draws)}:
                return soma, rhs
    return None


class _Hoist:
    """Replaces what is constant over a run by coefficients, computed once and in float64."""

    def __init__(self, changing: set[sp.Symbol]) -> None:
        self.changing = changing
        self.constants: dict[str, sp.Expr] = {}
        self._names: dict[sp.Expr, sp.Symbol] = {}

    def __call__(self, expression: Any) -> Any:
        if not expression.free_symbols & self.changing:
            return self._constant(expression)
        if expression.is_Atom:
            return expression
        if isinstance(expression, sp.Add | sp.Mul):
            fixed = [a for a in expression.args if not a.free_symbols & self.changing]
            moving = [self(a) for a in expression.args if a.free_symbols & self.changing]
            if fixed:
                moving.append(self._constant(expression.func(*fixed)))
            return expression.func(*moving)
        return expression.func(*(self(a) for a in expression.args))

    def _constant(self, expression: Any) -> Any:
        if expression.is_Atom or not expression.free_symbols or not isinstance(expression, sp.Expr):
            return expression
        if expression not in self._names:
            self._names[expression] = symbol(f"c_{len(self._names)}")
            self.constants[self._names[expression].name] = expression
        return self._names[expression]


def initial_values(model: StepModel, draw: Any) -> dict[str, Any]:
    """Each state at t = 0 as (neurons,) float64 arrays; `draw(distribution, size)` samples."""
    import numpy as np

    population = model.population
    parameters = model.parameters()
    out = {}
    for name in model.states:
        value = population.initial.get(name, getattr(population.neuron, "initial", {}).get(name, 0.0))
        if isinstance(value, str):
            value = parameters[value]
        if isinstance(value, Distribution):
            value = draw(value, population.size)
        array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
        out[name] = np.broadcast_to(array, (population.size,)).astype(np.float64)
    return out
