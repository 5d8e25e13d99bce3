"""What a rule is: traces of spikes, and what they do to a weight; written once, run dense and compiled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

import sympy as sp

from ranvier._records import Record
from ranvier.equations import Parameter, parameter, symbol
from ranvier.equations.declarations import declare, declared, settle
from ranvier.equations.declarations import fields as fields_of
from ranvier.rules._law import MODULATOR, WEIGHT, Coincidence, Eligibility, Law, Trace, law

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, "Tensor"]


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Rule(Record):
    """Base of all local rules of plasticity. A subclass is data:

        class Asymmetric(rv.rules.Rule):
            '''Pairs of spikes, potentiation only.'''
            traces = (rv.rules.Trace("x", "pre", tau="tau"),)
            on_post = "A*x"
            tau: float = rv.parameter(20.0, "ms", "width of the window", above=0)
            A: float = rv.parameter(0.01, "weight", "change a pair")

    `traces`, `eligibilities`: its variables; `on_pre`, `on_post`: what a spike that arrives from the source, and
    one of the target, add to the weight w; `drift`: dw/dt (1/ms), applied every `interval` ms; `transmitted`: what a
    spike that arrives delivers in a `Network`, of w and the source's traces before it, w by default. In what
    spikes do, `rand()` and `randn()` are random numbers of their own for every call, synapse and spike. They may be
    properties where they depend on the parameters. Expressions know w, the traces, `modulator` (the third factor)
    and the parameters; after each change w is clipped to [w_min, w_max]. A parameter that declares no domain may be
    any finite number (one called tau or tau_..., any time from 0 ms; bounds, infinite ones too); `relations` hold
    between two parameters. The unit "weight" is that of the synapse's weight.

    `reads` names variables of the target, such as V, which everything but `transmitted` may use: their values at the
    end of the step, after threshold and reset. A trace of the side "post" may follow them (filtered voltages), and
    `coincidence`, a `Coincidence`, changes weights in every step by a trace of the source times an expression of the
    target (`Clopath`).

    Order within a step: all traces decay; spikes that arrive from the source change w, then raise their
    traces; spikes of the target change w, then raise theirs; the coincidence; traces that follow; the drift. So a
    spike reads its own side's traces as they were just before it, and a pair in the same step counts as pre before
    post. In a `Network` a spike arrives
    when its delay has passed: delays are axonal, as Brian2's are by default. `dendritic_delay` (ms, rounded to steps)
    is how much later a spike of the target acts on the synapse and on the target's traces there; dense layers, which
    have no clock of their own, refuse it, and so do rules that read variables.

    Examples
    --------
    >>> import ranvier as rv
    >>> class Potentiation(rv.rules.Rule):
    ...     traces = (rv.rules.Trace("x", "pre", "tau"),)
    ...     on_post = "A*x"
    ...     tau: float = rv.parameter(20.0, "ms", "width of the window", above=0)
    ...     A: float = rv.parameter(0.01, "weight", "change a pair")
    ...
    >>> Potentiation(A=0.02).parameters["A"]
    0.02
    """

    traces: ClassVar[Any] = ()
    eligibilities: ClassVar[Any] = ()
    on_pre: ClassVar[Any] = "0"
    on_post: ClassVar[Any] = "0"
    drift: ClassVar[Any] = "0"
    transmitted: ClassVar[Any] = "w"
    reads: ClassVar[tuple[str, ...]] = ()
    coincidence: ClassVar[Any] = None
    relations: ClassVar[tuple[str, ...]] = ()
    dendritic_delay: float = parameter(
        0.0, "ms", "from a spike of the target to its arrival at the synapse", at_least=0
    )
    undeclared: ClassVar[Mapping[str, Parameter]] = {
        "tau": Parameter("ms", at_least=0.0), "w_min": Parameter(finite=False), "w_max": Parameter(finite=False),
    }  # fmt: skip

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        declare(cls, reserved=(WEIGHT, MODULATOR))

    def __post_init__(self) -> None:
        settle(self)
        name, values = type(self).__name__, self.parameters
        for key, value in values.items():
            if not isinstance(value, float):
                raise TypeError(f"{key} of {name} is {type(value).__name__}; expected one number for all synapses.")
        for variable, tau in self.law.decays:
            if values[tau] < 0.0:
                raise ValueError(f"{tau} of {name} is {values[tau]:g} ms; expected 0 ms or above: {variable} decays.")
        for trace, delay in self.law.delays:
            if values[delay] < 0.0:
                raise ValueError(f"{delay} of {name} is {values[delay]:g} ms; expected 0 ms or above: {trace} is late.")
        if self.law.reads and self.dendritic_delay:
            raise ValueError(
                f"dendritic_delay of {name} is {self.dendritic_delay:g} ms; expected 0: it reads the target's "
                f"{self.law.reads[0]}, which is not delayed. Delay its traces instead."
            )
        _require_sign(self)
        low, high = self.bounds
        if not low < high:
            raise ValueError(f"w_min of {name} is {low:g} and w_max {high:g}; expected w_min < w_max. Swap them.")
        if self.law.drift != 0 and not self.interval > 0:
            raise ValueError(f"interval of {name} is {self.interval:g} ms; expected a time above 0 ms. Raise it.")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Any, ...]:
        return type(self), *(getattr(self, name) for name in fields_of(type(self)))

    @property
    def parameters(self) -> dict[str, float]:
        """Its numbers by name."""
        return {name: getattr(self, name) for name in declared(type(self))}

    @property
    def bounds(self) -> tuple[float, float]:
        """The lower and the upper bound of the weights."""
        return getattr(self, "w_min", -math.inf), getattr(self, "w_max", math.inf)

    @property
    def interval(self) -> float:
        """Time between two applications of the drift, ms; a rule may have it as a parameter."""
        return 1.0

    @cached_property
    def law(self) -> Law:
        """The rule as expressions."""
        return law(
            tuple(self.traces), tuple(self.eligibilities), self.on_pre, self.on_post, self.drift,
            self.transmitted, tuple(self.parameters), type(self).__name__, tuple(self.reads), self.coincidence,
        )  # fmt: skip

    def remaining(self, tau: str, dt: float) -> float:
        """The factor by which a trace decays within dt (ms); tau is its parameter's name."""
        value = getattr(self, tau)
        return math.exp(-dt / value) if value > 0 else 0.0

    def init_state(self, weight: Tensor, batch: int) -> State:
        """All variables at zero, for weights (N_post, N_pre) or (batch, N_post, N_pre)."""
        from ranvier.rules.dense import init_state

        return init_state(self, weight, batch)

    def step(
        self,
        state: State,
        weight: Tensor,
        pre: Tensor,
        post: Tensor,
        modulator: Tensor | None = None,
        *,
        dt: float = 1.0,
        target: Mapping[str, Tensor] | None = None,
    ) -> tuple[State, Tensor]:
        """One step of dt (ms) of a dense layer: returns the new state and the weights' change.

        weight: (N_post, N_pre) for the whole batch, whose entries' changes are averaged, or one matrix each,
        (B, N_post, N_pre); pre (B, N_pre) and post (B, N_post): spikes, or rates for rules of rates; modulator:
        (B,) or (B, N_post), per ms where the rule low-passes it; target: (B, N_post) for each variable that the rule
        reads, by name. No argument is changed.

        Raises ValueError for shapes that do not fit, values that are not finite, the state of another rule, a missing
        modulator or variable, and a dt that the rule's interval is no multiple of.
        """
        from ranvier.rules.dense import step

        return step(self, state, weight, pre, post, modulator, dt, target)


def _require_sign(rule: Rule) -> None:
    """A coincidence keeps its sign, so that adding up its changes and clipping once is clipping in every step."""
    if rule.law.joint is None:
        return
    numbers = {symbol(name): sp.Float(value) for name, value in rule.parameters.items()}
    if not rule.parameters[rule.law.joint.tau] > 0:
        raise ValueError(
            f"{rule.law.joint.tau} of {type(rule).__name__} is 0 ms; expected a time above 0: its coincidence needs a "
            "trace that lasts"
        )
    value = rule.law.coincidence.xreplace(numbers)
    jump = rule.law.jumps[rule.law.joint.name].xreplace(numbers)
    if not (value.is_nonnegative or value.is_nonpositive):
        raise ValueError(
            f"the coincidence of {type(rule).__name__}, {rule.coincidence.of!r:.80}, may change its sign; expected an "
            "expression that cannot: factors max(..., 0)"
        )
    if not (jump.is_number and jump >= 0):
        raise ValueError(
            f"the trace {rule.law.joint.name} of {type(rule).__name__}'s coincidence jumps by {jump}; expected a "
            "number, 0 or above"
        )


__all__ = ["Coincidence", "Eligibility", "Rule", "State", "Trace"]
