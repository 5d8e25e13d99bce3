"""A rule's text, parsed: traces, eligibilities, and what spikes and time do to a weight."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Literal

import sympy as sp

from ranvier._names import identifiers
from ranvier.equations import draws_in, is_draw, parse, symbol

#: random numbers that a rule may have, each of its own for every synapse and spike
MOST_DRAWS = 32
#: names that mean the same in all rules: the weight, and the modulator (the third factor)
WEIGHT, MODULATOR = "w", "modulator"


@dataclass(frozen=True)
class Trace:
    """A variable x of one side of the synapse, dx/dt = −x/tau.

    side: "pre", "post" (a neuron's spikes make it jump), or "modulator", that signal low-passed:
    dx/dt = −x/tau + modulator. tau: the name of a parameter (ms); 0 makes the trace the signal itself.
    nearest: a spike sets it to 1 (only the nearest spike counts); otherwise a spike adds 1 (all count), or `jump`, for
    "pre": an expression of the "pre" traces before the spike.
    follows: for "post", an expression of "post" traces that jump and of the target's variables (`Rule.reads`); then
    dx/dt = (follows − x)/tau, without jumps. What follows a variable begins at its value after the first step.
    delay: for a trace that follows, the name of a parameter (ms, rounded to steps): what reads it reads its value of
    that time ago.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.rules.Trace("x", "pre", "tau_plus", nearest=True).side
    'pre'
    """

    name: str
    side: Literal["pre", "post", "modulator"]
    tau: str
    nearest: bool = False
    follows: str = ""
    jump: str = "1"
    delay: str = ""


@dataclass(frozen=True)
class Eligibility:
    """A variable c of each synapse, dc/dt = −c/tau, that events add `on_pre` and `on_post` to.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.rules.Eligibility("c", "tau_c", on_post="A*x").on_pre
    '0'
    """

    name: str
    tau: str
    on_pre: str = "0"
    on_post: str = "0"


@dataclass(frozen=True)
class Coincidence:
    """What weights do between spikes: dw/dt = trace × of, in every step.

    trace: a "pre" trace without `nearest`; of: an expression of "post" traces and the target's variables (`Rule.reads`)
    that never changes its sign, such as a product of max(..., 0) and a parameter. Engines may add up a synapse's
    changes until something reads its weight; so a rule that has one changes weights otherwise by `on_pre` only.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.rules.Coincidence("x", "A*max(V - theta, 0)").trace
    'x'
    """

    trace: str
    of: str


@dataclass(frozen=True, eq=False)
class Law:
    """What `Rule.law` gives: the rule as expressions.

    on_pre, on_post: Δw at a spike; marks: eligibility -> (on_pre, on_post), what it jumps by; follows: trace
    -> its moving target; drift: dw/dt (1/ms); transmitted: what a spike delivers; jumps: "pre" trace -> what a spike
    adds to it; reads: the target's variables; joint, coincidence: dw/dt = joint × coincidence, of a "pre" trace and of
    the target, in every step; names: every parameter in use, sorted.
    """

    pre: tuple[Trace, ...]
    post: tuple[Trace, ...]
    modulator: tuple[Trace, ...]
    eligibilities: tuple[Eligibility, ...]
    on_pre: sp.Expr
    on_post: sp.Expr
    marks: dict[str, tuple[sp.Expr, sp.Expr]]
    follows: dict[str, sp.Expr]
    drift: sp.Expr
    transmitted: sp.Expr
    jumps: dict[str, sp.Expr]
    reads: tuple[str, ...]
    joint: Trace | None
    coincidence: sp.Expr
    names: tuple[str, ...]

    @cached_property
    def traces(self) -> tuple[Trace, ...]:
        return self.pre + self.post + self.modulator

    @cached_property
    def decays(self) -> list[tuple[str, str]]:
        """Every variable, and the parameter that it decays with."""
        return [(t.name, t.tau) for t in self.traces] + [(e.name, e.tau) for e in self.eligibilities]

    @cached_property
    def uses_modulator(self) -> bool:
        """Whether the rule needs a modulator."""
        return bool(self.modulator) or any(e.has(symbol(MODULATOR)) for e in self.expressions())

    @cached_property
    def short_term(self) -> bool:
        """Whether a spike delivers something else than the weight."""
        return bool(self.transmitted != symbol(WEIGHT))

    @cached_property
    def chances(self) -> tuple[str, ...]:
        """The random numbers that spikes take at a synapse, in the order of their numbers."""
        return tuple(draws_in(*self.expressions()))

    @cached_property
    def learns(self) -> bool:
        """Whether a weight ever changes."""
        return any(e != 0 for e in (self.on_pre, self.on_post, self.drift, self.coincidence))

    @cached_property
    def delays(self) -> list[tuple[str, str]]:
        """Traces that are read late, and the parameters that say how late."""
        return [(t.name, t.delay) for t in self.post if t.delay]

    @cached_property
    def follows_target(self) -> tuple[str, ...]:
        """Traces that follow variables of the target, which begin where those are."""
        reads = {symbol(name) for name in self.reads}
        return tuple(name for name, goal in self.follows.items() if goal.free_symbols & reads)

    def expressions(self) -> list[sp.Expr]:
        marks = [e for pair in self.marks.values() for e in pair]
        return [
            self.on_pre, self.on_post, self.drift, self.transmitted, *marks, *self.follows.values(),
            *self.jumps.values(), self.coincidence,
        ]  # fmt: skip


@cache
def law(
    traces: tuple[Trace, ...],
    eligibilities: tuple[Eligibility, ...],
    on_pre: str,
    on_post: str,
    drift: str,
    transmitted: str,
    parameters: tuple[str, ...],
    who: str,
    reads: tuple[str, ...] = (),
    coincidence: Coincidence | None = None,
) -> Law:
    """Parse and check. Raises ValueError for names that are unknown or stand where they have no value."""
    _require_names(traces, eligibilities, parameters, reads, who)
    _require_traces(traces, parameters, who)
    of = {side: tuple(t for t in traces if t.side == side) for side in ("pre", "post", "modulator")}
    neurons = {t.name for t in traces} | {MODULATOR, *parameters, *reads}
    at_events = neurons | {WEIGHT}
    everything = at_events | {e.name for e in eligibilities}
    there = {t.name for t in of["post"]} | {*parameters, *reads}
    behind = there - {t.name for t in of["post"] if t.follows}
    ahead = {t.name for t in of["pre"]} | set(parameters)

    draws: list[str] = []

    def read(text: str, allowed: set[str], where: str, chance: bool = False) -> sp.Expr:
        expression = parse(text, draws if chance else None)
        used = {s.name for s in expression.free_symbols if not is_draw(s.name)}
        if unknown := used - allowed:
            raise ValueError(
                f"{who}: {where} uses {min(unknown)!r}; expected names among {', '.join(sorted(allowed))}"
            )
        if not isinstance(expression, sp.Expr):
            raise ValueError(f"{who}: {where} is a condition; expected a number")
        return expression

    rule = Law(
        pre=of["pre"],
        post=of["post"],
        modulator=of["modulator"],
        eligibilities=eligibilities,
        on_pre=read(on_pre, at_events, "on_pre", chance=True),
        on_post=read(on_post, at_events, "on_post", chance=True),
        marks={
            e.name: (read(e.on_pre, at_events, e.name, True), read(e.on_post, at_events, e.name, True))
            for e in eligibilities
        },
        follows={t.name: read(t.follows, behind, t.name) for t in traces if t.follows},
        drift=read(drift, everything, "drift"),
        transmitted=read(transmitted, ahead | {WEIGHT}, "transmitted", chance=True),
        jumps={t.name: read(t.jump, ahead, t.name) for t in of["pre"] if not t.nearest},
        reads=reads,
        joint=None if coincidence is None else _joint(coincidence, of["pre"], who),
        coincidence=read("0" if coincidence is None else coincidence.of, there, "coincidence"),
        names=(),
    )
    if len(draws) > MOST_DRAWS:
        raise ValueError(f"{who} has {len(draws)} random numbers; expected at most {MOST_DRAWS}")
    if eligibilities and rule.drift == 0:
        raise ValueError(
            f"{who} has the eligibility {eligibilities[0].name!r}, but no drift that uses it; expected a drift in "
            "its text"
        )
    if coincidence is not None and (eligibilities or rule.on_post != 0 or rule.drift != 0):
        raise ValueError(
            f"{who} has a coincidence and eligibilities, on_post or a drift; expected on_pre beside it at most: put "
            "the others in a rule of another projection"
        )
    used = {s.name for e in rule.expressions() for s in e.free_symbols} & set(parameters)
    used |= {tau for _, tau in rule.decays} | {delay for _, delay in rule.delays}
    return replace(rule, names=tuple(sorted(used)))


def _require_names(
    traces: tuple[Trace, ...], eligibilities: tuple[Eligibility, ...], parameters: tuple[str, ...],
    reads: tuple[str, ...], who: str,
) -> None:  # fmt: skip
    names = [t.name for t in traces] + [e.name for e in eligibilities] + [WEIGHT, MODULATOR, *parameters, *reads]
    identifiers(names, f"{who}: a name")
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{who}: the name {min(twice)!r} is used twice; expected different names")
    if odd := [name for name in names if is_draw(name)]:
        raise ValueError(f"{who}: {odd[0]!r} is a random number of each spike; expected another name")
    for name, tau in [(t.name, t.tau) for t in traces] + [(e.name, e.tau) for e in eligibilities]:
        if tau not in parameters:
            raise ValueError(f"{who}: {name!r} decays with {tau!r}; expected one of its parameters")


def _require_traces(traces: tuple[Trace, ...], parameters: tuple[str, ...], who: str) -> None:
    for t in traces:
        if t.jump != "1" and (t.side != "pre" or t.nearest):
            raise ValueError(
                f"{who}: a jump is for a trace of the side 'pre' that is not nearest; expected none elsewhere"
            )
        if t.follows and t.side != "post":
            raise ValueError(f"{who}: only a trace of the side 'post' follows another; expected none elsewhere")
        if t.delay and not t.follows:
            raise ValueError(f"{who}: {t.name!r} has a delay and follows nothing; expected one that follows")
        if t.delay and t.delay not in parameters:
            raise ValueError(f"{who}: the delay of {t.name!r} is {t.delay!r}; expected one of its parameters")


def _joint(coincidence: Coincidence, pre: tuple[Trace, ...], who: str) -> Trace:
    """The trace of a coincidence."""
    for t in pre:
        if t.name == coincidence.trace and not t.nearest:
            return t
    raise ValueError(
        f"{who}: the coincidence is with {coincidence.trace!r}; expected a trace of the side 'pre' that is not nearest"
    )
