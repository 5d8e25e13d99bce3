"""Branch and bound: bound, attack, split, until every part of every box is decided or the time is up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ranvier._results import Fields
from ranvier.verify.branch_and_bound.attack import confirmed, descend
from ranvier.verify.graphs.graph import ComputationGraph, Product, Unary
from ranvier.verify.networks import NetworkUnderTest
from ranvier.verify.properties import Case, Property, Unsafe

Branching = Literal["auto", "inputs", "bbps", "random", "none"]
Points = Literal["optimised", "midpoint"]
FEW_INPUTS = 10


@dataclass(frozen=True)
class VerificationResult(Fields):
    """verdict: "verified", "falsified" (with a counterexample, shaped as the input, and its output) or "unknown".

    bound: the least margin of what is left, inf where nothing is; domains: how many were bounded; seconds.
    Returned by `verify`.
    """

    verdict: Literal["verified", "falsified", "unknown"]
    counterexample: Tensor | None
    output: Tensor | None
    bound: float
    domains: int
    seconds: float
    note: str = ""


@dataclass
class SearchSettings:
    """Of a search; see `verify`."""

    branching: Branching = "auto"
    points: Points = "optimised"
    batch: int = 128
    steps: int = 20
    root_steps: int = 50
    several: int = 3
    most_domains: int | None = None
    seed: int = 0


@dataclass
class SearchProgress:
    """Where a search stands: domains bounded, left, and the least margin of those left."""

    deadline: float
    most_domains: int | None
    report: Callable[[int, int, float], None] | None = None
    domains: int = 0
    started: float = field(default_factory=time.monotonic)

    def over(self) -> bool:
        enough = self.most_domains is not None and self.domains >= self.most_domains
        return enough or time.monotonic() >= self.deadline

    def say(self, left: int, bound: float) -> None:
        if self.report is not None:
            self.report(self.domains, left, bound)


@dataclass(frozen=True)
class Goals:
    """The alternatives of one box as arrays, rows padded: C (G, R, outputs), d (G, R)."""

    case: Case
    unsafe: tuple[Unsafe, ...]
    C: Tensor
    d: Tensor

    @classmethod
    def of(cls, case: Case) -> Goals:
        rows = max((len(u.d) for u in case.unsafe), default=1)
        outputs = case.unsafe[0].C.shape[1]
        C = torch.zeros(len(case.unsafe), rows + (rows > 1), outputs, dtype=torch.float64)
        d = torch.full((len(case.unsafe), rows + (rows > 1)), torch.inf, dtype=torch.float64)  # no bound is above it
        for k, u in enumerate(case.unsafe):
            C[k, : len(u.d)], d[k, : len(u.d)] = u.C, u.d
            if len(u.d) > 1 and bool((u.C.abs() <= 2.0**20).all() & (u.C.round() == u.C).all()):
                # where all rows hold, so does their sum, which may be refuted where no row is
                C[k, -1], d[k, -1] = u.C.sum(0), math.nextafter(math.fsum(u.d.tolist()), math.inf)
        return cls(case, case.unsafe, C, d)

    def attackable(self) -> Tensor:
        """d with what margins make of padding: rows that never matter."""
        return torch.where(torch.isfinite(self.d), self.d, 1e300)


def verify(
    network: ComputationGraph | NetworkUnderTest | nn.Module,
    prop: Property,
    *,
    example: Tensor | None = None,
    timeout: float = 60.0,
    branching: Branching = "auto",
    points: Points = "optimised",
    batch: int | None = None,
    steps: int = 20,
    root_steps: int = 50,
    several: int = 3,
    most_domains: int | None = None,
    attack: bool = True,
    seed: int = 0,
    report: Callable[[int, int, float], None] | None = None,
) -> VerificationResult:
    """Whether a property of a network holds, by branch and bound (GenBaB; Shi et al. 2025).

    Parameters
    ----------
    network : a `ComputationGraph`, a network as `load` or `wrap` give it, or a torch module with `example`, an input.
    prop : what is unsafe; `Property.robust`, `Property.within`, `read_vnnlib`.
    timeout : seconds; the verdict is "unknown" after it.
    branching : "bbps" splits the neurons whose split is estimated to gain most, "random" any, "inputs" halves the box
        where the bound is steepest, "none" stops at α-CROWN; "auto" is "inputs" for networks of at most 10 inputs.
    points : where neurons are split, "optimised" by a table for their functions, or in the "midpoint".
    batch : domains bounded at a time; 1000 of inputs, up to 128 of neurons, fewer for large networks.
    steps, root_steps : of gradient ascent on slopes and multipliers, of a domain and before the first split.
    several : neurons split at once, at most, while there are fewer domains than a batch.
    most_domains : stop after as many.
    attack : look for counterexamples by gradient descent first.
    report : called with (domains bounded, domains left, least margin).

    A verdict "verified" is about real numbers, whatever float64 rounds; "falsified" has passed the network itself.
    Raises ValueError for sizes that do not fit, boxes that are not finite, and options that are not there.

    >>> double = torch.nn.Linear(1, 1)
    >>> _ = torch.nn.init.constant_(double.weight, 2.0), torch.nn.init.zeros_(double.bias)
    >>> low, high, rows = torch.tensor([-1.0]), torch.tensor([1.0]), torch.tensor([[-1.0]])
    >>> for most in (3.0, 1.0):  # is 2 x below it?
    ...     prop = rv.verify.Property.within(low, high, rows, -most)
    ...     print(rv.verify.verify(double, prop, example=torch.zeros(1)).verdict)
    verified
    falsified
    """
    if not isinstance(prop, Property):
        raise ValueError(f"prop is {type(prop).__name__}; expected a Property: Property.robust, within or read_vnnlib")
    subject = _subject(network, example)
    for name, value, known in (("branching", branching, Branching), ("points", points, Points)):
        if value not in get_args(known):
            raise ValueError(f"{name} is {value!r}; expected one of {', '.join(get_args(known))}")
    for name, number, least in (("timeout", timeout, 0), ("steps", steps, 0), ("several", several, 1)):
        if not number >= least:
            raise ValueError(f"{name} is {number}; expected at least {least}")
    start = time.monotonic()
    progress = SearchProgress(start + timeout, most_domains, report)
    kind = branching
    if kind == "auto":
        kind = "inputs" if subject.graph.nodes[0].size <= FEW_INPUTS else "bbps"
    settings = SearchSettings(
        kind, points, batch or _batch(subject.graph, kind), steps, root_steps, several, most_domains, seed
    )
    lowest, note = float("inf"), ""

    def result(verdict, x=None, bound=lowest):  # type: ignore[no-untyped-def]
        shaped = None if x is None else x.reshape(subject.graph.input_shape)
        output = None if shaped is None else subject.run(shaped)
        return VerificationResult(verdict, shaped, output, bound, progress.domains, time.monotonic() - start, note)

    all_goals = [_checked(subject.graph, case) for case in prop.cases]
    if attack:
        for goals in all_goals:
            x = _attack(subject, goals, seed)
            if x is not None:
                return result("falsified", x, float("-inf"))
    from ranvier.verify.branch_and_bound.input_splitting import split_inputs
    from ranvier.verify.branch_and_bound.neuron_splitting import split_neurons

    left = False
    for goals in all_goals:
        run = split_inputs if kind == "inputs" else split_neurons
        outcome = run(subject, goals, settings, progress)
        if outcome.counterexample is not None:
            return result("falsified", outcome.counterexample, float("-inf"))
        lowest = min(lowest, outcome.bound)
        left = left or not outcome.done
        if left:
            note = outcome.note
            break
    return result("unknown" if left else "verified", None, lowest)


def _batch(graph: ComputationGraph, branching: str) -> int:
    """1000 boxes; of domains of neurons as many as are bounded in some seconds, at most 128."""
    if branching == "inputs":
        return 1000
    neurons = sum(node.size for node in graph.nodes if isinstance(node.operator, (Unary, Product)))
    return max(4, min(128, 200_000 // max(neurons, 1)))


@dataclass(frozen=True)
class Outcome:
    """Of the goals of one box."""

    done: bool
    bound: float
    counterexample: Tensor | None = None
    note: str = ""


def _subject(network: ComputationGraph | NetworkUnderTest | nn.Module, example: Tensor | None) -> NetworkUnderTest:
    if isinstance(network, NetworkUnderTest):
        return network
    if isinstance(network, ComputationGraph):
        return NetworkUnderTest(network, lambda x: network(x.double()[None])[0])
    if isinstance(network, nn.Module):
        if example is None:
            raise ValueError("example is missing; expected an input of the module, with its batch of one: example=x")
        from ranvier.verify.networks import wrap

        return wrap(network, example)
    raise ValueError(
        f"network is {type(network).__name__}; expected a ComputationGraph, what load() gives, or a module"
    )


def _checked(graph: ComputationGraph, case: Case) -> Goals:
    size, outputs = graph.nodes[0].size, graph.nodes[graph.output].size
    if len(case.lower) != size or (case.unsafe and case.unsafe[0].C.shape[1] != outputs):
        of = case.unsafe[0].C.shape[1] if case.unsafe else outputs
        raise ValueError(
            f"the property is of {len(case.lower)} inputs and {of} outputs; expected the network's {size} and {outputs}"
        )
    if not bool(torch.isfinite(case.lower).all() & torch.isfinite(case.upper).all()):
        raise ValueError("a bound of an input is not finite; expected finite boxes")
    return Goals.of(case)


def _attack(subject: NetworkUnderTest, goals: Goals, seed: int) -> Tensor | None:
    most = max(1, 4_000_000 // (subject.graph.nodes[0].size * 16))
    for part in torch.arange(len(goals.C)).split(most):
        xs, margins = descend(subject.graph, goals.case, goals.C[part], goals.attackable()[part], seed=seed)
        for x, m in zip(xs, margins, strict=True):
            if m <= 0 and (sure := confirmed(subject, goals.case, goals.unsafe, x)) is not None:
                return sure
    return None


__all__ = [
    "Branching",
    "Goals",
    "Outcome",
    "Points",
    "SearchProgress",
    "SearchSettings",
    "VerificationResult",
    "verify",
]
