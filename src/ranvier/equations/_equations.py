"""A neuron's or a synapse's equations, written once, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import NoneType
from typing import Any

import sympy as sp

from ranvier._checks import instance
from ranvier._names import identifier
from ranvier.equations._events import event_of, event_texts
from ranvier.equations._parse import DRAWS, FUNCTIONS, LONGEST, is_draw, parse, symbol
from ranvier.equations.statements import LARGEST, statements
from ranvier.equations.units import require_unit

_DERIVATIVE = re.compile(r"^d([A-Za-z]\w*)/dt\s*=\s*(.+)$")
_ALIAS = re.compile(r"^([A-Za-z]\w*)\s*=\s*(.+)$")

#: names that mean the same in all equations: total synaptic input (mV), time and step (ms)
RESERVED = ("I", "t", "dt")

# names that the engines give: inputs, normals, constants, propagators, stages, synapses' variables
_ENGINES = re.compile(
    r"(in|end|start|N|c|randn?|[PQRL]_\d+)_\d+|[kx][1-4]_\w+|\w+_p\d+|refractory_(left|steps)"
)


@dataclass(frozen=True)
class StateVariable:
    """One variable: dx/dt = drift + Σ diffusion[xi]·xi, xi independent white noises of unit density.

    Examples
    --------
    >>> import ranvier as rv
    >>> voltage = rv.Equations("dV/dt = -V/tau + xi : mV").states[0]
    >>> voltage.drift
    -V/tau
    """

    name: str
    drift: sp.Expr
    diffusion: dict[str, sp.Expr] = field(default_factory=dict)
    unit: str = ""


class Equations:
    """Differential equations with a threshold and a reset.

    Parameters
    ----------
    text
        One line a variable, `dV/dt = ...`, or a helper, `alpha = ...`; after a colon the unit (`mV`, `pA`, `1/ms`,
        `1`), which documents, after # a comment. White noise is `xi` (or `xi_a`, `xi_b`: independent ones), of
        density 1/√ms. `I` is the synaptic input in mV, `drive` and `noise` are the population's inputs in mV.
    threshold
        The condition under which the neuron spikes, e.g. `"V >= V_th"`, or by chance `"rand() < rate*dt"`. None: it
        never does.
    reset
        Statements at a spike, one after the other, `"V = V_reset; w += b"`, divided by ; or line ends. A name that is
        no variable is an intermediate value: `"x = randn(); V = V_reset + x; w += x"`.
    events
        What happens besides spikes: name -> (condition, statements), `{"burst": ("Ca > Ca_th", "Ca = 0; w += 1")}`.
        Conditions are asked for at every step's end, refractory or not, all before the reset; then come the reset and
        the events' statements, in this order. An event's name is a variable that counts how often it has occurred.
    refractory
        Name of the parameter (ms): for so long after a spike there is no other.
    holds
        What is held where the reset left it while refractory: True, the first variable (integrate-and-fire); False,
        nothing; or names of variables, `"V, g"`. Input that jumps a held variable is lost meanwhile.

    Raises
    ------
    ValueError
        if a line is no equation, a unit is none, noise enters non-linearly, or a statement or `holds` names an unknown
        variable.
    TypeError
        for text that is no string, and if a variable's name is no plain identifier.

    Examples
    --------
    >>> import ranvier as rv
    >>> equations = rv.Equations("dV/dt = -V/tau : mV", threshold="V > 1", reset="V = 0")
    >>> equations.names, equations.parameters
    (('V',), ('tau',))
    >>> print(equations.latex())
    \\dot{V} &= - \\frac{V}{\\tau} \\\\
    V > 1 &: \\quad V \\to 0
    >>> equations.jacobian()
    Matrix([[-1/tau]])
    """

    def __init__(
        self,
        text: str,
        *,
        threshold: str | None = None,
        reset: str = "",
        refractory: str | None = None,
        holds: bool | str = True,
        events: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        instance(text, str, "text", "a string of equations, one a line: 'dV/dt = -V/tau : mV'")
        instance(threshold, (str, NoneType), "threshold", "a condition as a string: 'V >= V_th'")
        instance(reset, str, "reset", "assignments as a string: 'V = V_reset; w = w + b'")
        instance(refractory, (str, NoneType), "refractory", "a parameter's name, whose default is the time: 't_ref'")
        lines = (line.partition("#")[0].strip() for line in text.splitlines())
        self.text = "\n".join(filter(None, lines))
        if len(self.text) > 20 * LONGEST:
            raise ValueError(f"the equations have {len(self.text)} characters; expected at most {20 * LONGEST}")
        self.event_texts = event_texts(events)
        self.states, helpers = _states(self.text, tuple(self.event_texts))
        draws: list[str] = []
        self.threshold = None if threshold is None else parse(threshold, draws).xreplace(helpers)
        self.threshold_text, self.reset_text = threshold, reset
        self.refractory = refractory
        #: the variables that are held while refractory
        self.held = _held(holds, self.names)
        self.reset = statements(reset, self.names, "the reset", draws, helpers)
        self.events = {
            name: event_of(name, condition, text, self.names, draws, helpers)
            for name, (condition, text) in self.event_texts.items()
        }
        #: names of the random numbers `rand()` and `randn()` of threshold, reset and events, one a call
        self.draws = tuple(draws)
        for name in (*self.names, *self.parameters, *self.noises):
            identifier(name, "a name in the equations")
            if _ENGINES.fullmatch(name):
                raise ValueError(f"the name {name!r} is one that the engines use; expected another: {name}_")
        if isinstance(self.threshold, sp.Expr):
            raise ValueError(f"the threshold is {threshold!r}; expected a condition such as 'V >= V_th'")

    @property
    def holds(self) -> bool | str:
        """`held` as the argument `holds` says it."""
        if self.held in ((), self.names[:1]):
            return bool(self.held)
        return ", ".join(self.held)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The variables, in the order of the text."""
        return tuple(state.name for state in self.states)

    @cached_property
    def noises(self) -> tuple[str, ...]:
        """The white noises, in order of their first use."""
        return tuple(dict.fromkeys(xi for state in self.states for xi in state.diffusion))

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Every name that is neither a variable nor reserved, sorted."""
        expressions: list[Any] = [s.drift for s in self.states]
        expressions += [g for s in self.states for g in s.diffusion.values()]
        expressions += [*self.reset.values()] + ([] if self.threshold is None else [self.threshold])
        for event in self.events.values():
            expressions += [event.condition, *event.statements.values()]
        used = {x.name for e in expressions for x in e.free_symbols if not is_draw(x.name)}
        if self.refractory:
            used.add(self.refractory)
        return tuple(sorted(used - set(self.names) - set(RESERVED)))

    def drift(self, name: str) -> sp.Expr:
        """The noise-free right-hand side of d`name`/dt, in units of the variable per ms."""
        return self.states[self.names.index(name)].drift

    def jacobian(self) -> sp.Matrix:
        """∂(dx_i/dt)/∂x_j, (variables, variables), 1/ms."""
        x = [symbol(name) for name in self.names]
        return sp.Matrix([state.drift for state in self.states]).jacobian(x)

    def latex(self) -> str:
        """The equations as LaTeX, one line a variable, joined by a double backslash."""
        lines = []
        for state in (s for s in self.states if s.name not in self.events):
            noise = [g * sp.Symbol(xi.replace("xi", r"\xi")) for xi, g in state.diffusion.items()]
            right = sp.latex(sp.Add(state.drift, *noise))
            lines.append(rf"\dot{{{sp.latex(symbol(state.name))}}} &= {right}")
        if self.threshold is not None:
            resets = ", ".join(rf"{sp.latex(symbol(n))} \to {sp.latex(e)}" for n, e in self.reset.items())
            lines.append(rf"{sp.latex(self.threshold)} &: \quad {resets}")
        for event in self.events.values():
            changes = ", ".join(rf"{sp.latex(symbol(n))} \to {sp.latex(e)}" for n, e in event.statements.items())
            lines.append(rf"{sp.latex(event.condition)} &: \quad {changes}")
        return " \\\\\n".join(lines)

    def torch(self) -> Any:
        """The right-hand side as a function `f(**values) -> dict[str, Tensor]` of tensors (noise-free)."""
        from ranvier.equations.printing import torch_function

        return torch_function({state.name: state.drift for state in self.states})

    def describe(self) -> dict[str, Any]:
        """What `Equations(**...)` takes, as plain text."""
        return {
            "text": self.text,
            "threshold": self.threshold_text,
            "reset": self.reset_text,
            "refractory": self.refractory,
            "holds": self.holds,
        } | ({"events": {name: list(texts) for name, texts in self.event_texts.items()}} if self.events else {})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equations) and self.describe() == other.describe()

    def __hash__(self) -> int:
        return hash(repr(self.describe()))

    def __repr__(self) -> str:
        return f"Equations({self.text!r}, threshold={self.threshold_text!r}, reset={self.reset_text!r})"

    def _repr_latex_(self) -> str:
        return "$$\\begin{aligned}" + self.latex() + "\\end{aligned}$$"


def _held(holds: bool | str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The variables that `holds` means, in their order."""
    if isinstance(holds, bool):
        return names[:1] if holds else ()
    if not isinstance(holds, str):
        raise TypeError(f"holds is {holds!r:.40}; expected True, False, or names of variables: 'V, g'")
    chosen = [part.strip() for part in holds.split(",")]
    for name in chosen:
        if name not in names:
            raise ValueError(f"holds names {name!r:.40}; expected variables among {', '.join(names)}")
    return tuple(name for name in names if name in chosen)


def _states(text: str, counts: tuple[str, ...]) -> tuple[tuple[StateVariable, ...], dict[sp.Symbol, sp.Expr]]:
    """The variables, `counts` of events the last, and the helpers in terms of variables and parameters."""
    derivatives: dict[str, tuple[sp.Expr, str]] = {}
    aliases: dict[sp.Symbol, sp.Expr] = {}
    for line in text.splitlines():
        body, _, unit = (part.strip() for part in line.partition(":"))
        _require_unit(unit, line)
        if match := _DERIVATIVE.match(body):
            _require_new(match[1], derivatives, aliases)
            derivatives[match[1]] = (parse(match[2]), unit)
        elif match := _ALIAS.match(body):
            _require_new(match[1], derivatives, aliases)
            aliases[symbol(match[1])] = parse(match[2])
        else:
            raise ValueError(f"the line is {line!r}; expected 'dV/dt = ...' or 'name = ...'")
    if not derivatives:
        raise ValueError("there is no line 'dV/dt = ...'; expected at least one")
    for name in counts:
        _require_new(name, derivatives, aliases)
        derivatives[name] = (sp.Integer(0), "1")
    _require_small(derivatives, aliases)
    for _ in range(len(aliases)):  # aliases may use aliases; each pass resolves one level
        aliases = {name: value.xreplace(aliases) for name, value in aliases.items()}
    states = tuple(_state(n, value.xreplace(aliases), unit) for n, (value, unit) in derivatives.items())
    return states, aliases


def _require_unit(unit: str, line: str) -> None:
    if "(" in unit:
        raise ValueError(
            f"The line {line!r} ends in {unit!r}; expected a unit alone: flags are Brian2's. Leave them out: "
            "`refractory=` and `holds=` say what is held, and parameters are fields of the model."
        )
    try:
        require_unit(unit)
    except ValueError as error:
        raise ValueError(f"The line {line!r} has no unit that is known. {error}") from None


def _require_small(derivatives: Mapping[str, Any], aliases: Mapping[sp.Symbol, sp.Expr]) -> None:
    """Refuse helpers in a circle, and those that double the equations at every use, before any is put in."""
    sizes: dict[sp.Symbol, int] = {}
    open_: set[sp.Symbol] = set()

    def size(e: sp.Basic) -> int:
        count = 0
        for part in sp.preorder_traversal(e):
            count += size_of(part) if part in aliases else 1
        if count > LARGEST:
            raise ValueError(f"an equation has more than {LARGEST} terms with its helpers put in; expected fewer")
        return count

    def size_of(name: sp.Symbol) -> int:
        if name in open_:
            raise ValueError(
                f"the helpers {', '.join(map(str, aliases))} refer to each other in a circle; expected each to "
                "use earlier ones only; expected each to use earlier ones only"
            )
        if name not in sizes:
            open_.add(name)
            sizes[name] = size(aliases[name])
            open_.discard(name)
        return sizes[name]

    for name in aliases:
        size_of(name)
    for right, _ in derivatives.values():
        size(right)


def _require_new(name: str, derivatives: Mapping[str, Any], aliases: Mapping[sp.Symbol, Any]) -> None:
    identifier(name, "a variable")
    if name in {*derivatives, *map(str, aliases), *RESERVED, *FUNCTIONS, *DRAWS, "pi"}:
        raise ValueError(f"{name!r} is defined twice or reserved; expected another name")


def _state(name: str, right: sp.Expr, unit: str) -> StateVariable:
    noises = sorted((x for x in right.free_symbols if re.fullmatch(r"xi(_\w+)?", x.name)), key=str)
    if not noises:
        return StateVariable(name, right, {}, unit)
    diffusion = {xi.name: sp.diff(right, xi) for xi in noises}
    if any(g.has(*noises) for g in diffusion.values()):
        raise ValueError(f"white noise enters d{name}/dt non-linearly; expected a term such as s*xi")
    return StateVariable(name, right.xreplace({xi: sp.Integer(0) for xi in noises}), diffusion, unit)
