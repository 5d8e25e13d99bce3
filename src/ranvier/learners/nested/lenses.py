"""Lenses with a state: what goes forward, what comes back and changes the state; composed in a row and in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ranvier.learners.nested.interfaces import UNIT, Interface


@dataclass(frozen=True)
class DynamicLens:
    """In each state s a dependent lens from `source` to `target`, and the next state: a [source, target]-coalgebra.

    forward(s, i) -> j : a position of the target for one of the source.
    backward(s, i, d) -> (s, c) : for a direction d at j the next state and a direction c at i.

    Both are pure; use `step` and `run`, which check every position and direction.

    >>> nested = rv.learners.nested
    >>> counter = nested.DynamicLens(  # counts how often something comes back
    ...     nested.Reals(1), nested.Reals(1), 0, lambda s, x: x + s, lambda s, x, d: (s + 1, d)
    ... )
    >>> nested.run(counter, [(torch.zeros(1), torch.zeros(1))] * 3)[0]
    3
    """

    source: Interface
    target: Interface
    start: Any
    forward: Callable[[Any, Any], Any]
    backward: Callable[[Any, Any, Any], tuple[Any, Any]]

    def __rshift__(self, other: DynamicLens) -> DynamicLens:
        return compose(self, other)

    def __mul__(self, other: DynamicLens) -> DynamicLens:
        return parallel(self, other)


def step(lens: DynamicLens, state: Any, position: Any, answer: Any) -> tuple[Any, Any, Any]:
    """(next state, position of the target, direction at the source).

    answer : the direction that comes back, or a function from the target's position to it.
    Raises TypeError, by name, for a position or direction that its interface has not.

    >>> lens = rv.learners.nested.identity(rv.learners.nested.Reals(1))
    >>> _, y, back = rv.learners.nested.step(lens, (), torch.tensor([3.0]), lambda y: 2 * y)  # answers what comes
    >>> back.item()
    6.0
    """
    _require(lens.source.position_fault(position), "the source's position")
    j = lens.forward(state, position)
    _require(lens.target.position_fault(j), "the target's position")
    direction = answer(j) if callable(answer) else answer
    _require(lens.target.direction_fault(j, direction), "the target's direction")
    state, back = lens.backward(state, position, direction)
    _require(lens.source.direction_fault(position, back), "the source's direction")
    return state, j, back


def run(lens: DynamicLens, pairs: Iterable[tuple[Any, Any]], state: Any = None) -> tuple[Any, list[tuple[Any, Any]]]:
    """Step by step from `start`, or a state: (last state, what came out at every step: target's position, direction at
    the source). Two lenses are equal if they give the same for all such runs.

    >>> lens = rv.learners.nested.gradient_learner(lambda p, x: p * x, torch.tensor([2.0]), 1, 1, rate=0.1)
    >>> p, out = rv.learners.nested.run(lens, [(torch.tensor([1.0]), torch.tensor([1.0]))] * 5)
    >>> round(p.item(), 6), len(out)  # five steps of 0.1
    (1.5, 5)
    """
    state, out = lens.start if state is None else state, []
    for position, answer in pairs:
        state, j, back = step(lens, state, position, answer)
        out.append((j, back))
    return state, out


def identity(interface: Interface) -> DynamicLens:
    """Hands everything on.

    >>> lens = rv.learners.nested.identity(rv.learners.nested.Reals(1))
    >>> _, y, back = rv.learners.nested.step(lens, (), torch.tensor([3.0]), torch.tensor([1.0]))
    >>> y.item(), back.item()
    (3.0, 1.0)
    """
    return DynamicLens(interface, interface, (), lambda s, i: i, lambda s, i, d: (s, d))


def wiring(
    source: Interface, target: Interface, forward: Callable[[Any], Any], backward: Callable[[Any, Any], Any]
) -> DynamicLens:
    """A lens without a state: forward(i) -> j, backward(i, d) -> c.

    >>> nested = rv.learners.nested
    >>> twice = nested.wiring(nested.Reals(1), nested.Reals(1), lambda x: 2 * x, lambda x, d: 2 * d)
    >>> nested.step(twice, (), torch.tensor([3.0]), torch.tensor([1.0]))[1].item()
    6.0
    """
    return DynamicLens(source, target, (), lambda s, i: forward(i), lambda s, i, d: (s, backward(i, d)))


def system(
    interface: Interface, start: Any, show: Callable[[Any], Any], update: Callable[[Any, Any], Any]
) -> DynamicLens:
    """A plain dynamical system: it shows a position and is driven by a direction; a lens from `Trivial()`.

    >>> nested = rv.learners.nested
    >>> clock = nested.system(nested.Reals(1), 0, lambda s: torch.tensor([float(s)]), lambda s, d: s + 1)
    >>> _, out = nested.run(clock, [((), torch.zeros(1))] * 3)
    >>> [y.item() for y, _ in out]
    [0.0, 1.0, 2.0]
    """
    return DynamicLens(UNIT, interface, start, lambda s, i: show(s), lambda s, i, d: (update(s, d), ()))


def compose(first: DynamicLens, second: DynamicLens) -> DynamicLens:
    """One after the other. TypeError where the first's target is not the second's source.

    >>> nested = rv.learners.nested
    >>> twice = nested.wiring(nested.Reals(1), nested.Reals(1), lambda x: 2 * x, lambda x, d: 2 * d)
    >>> _, y, back = nested.step(nested.compose(twice, twice), ((), ()), torch.tensor([1.0]), torch.tensor([1.0]))
    >>> y.item(), back.item()
    (4.0, 4.0)
    """
    if first.target != second.source:
        raise TypeError(f"the first lens ends in {first.target}; expected {second.source}, where the second begins")

    def forward(s: Any, i: Any) -> Any:
        return second.forward(s[1], first.forward(s[0], i))

    def backward(s: Any, i: Any, d: Any) -> tuple[Any, Any]:
        later, between = second.backward(s[1], first.forward(s[0], i), d)
        earlier, c = first.backward(s[0], i, between)
        return (earlier, later), c

    return DynamicLens(first.source, second.target, (first.start, second.start), forward, backward)


def parallel(first: DynamicLens, second: DynamicLens) -> DynamicLens:
    """Side by side, on pairs.

    >>> nested = rv.learners.nested
    >>> twice = nested.wiring(nested.Reals(1), nested.Reals(1), lambda x: 2 * x, lambda x, d: 2 * d)
    >>> x = torch.tensor([1.0]), torch.tensor([3.0])
    >>> _, y, _ = nested.step(nested.parallel(twice, twice), ((), ()), x, x)
    >>> [v.item() for v in y]
    [2.0, 6.0]
    """

    def forward(s: Any, i: Any) -> Any:
        return first.forward(s[0], i[0]), second.forward(s[1], i[1])

    def backward(s: Any, i: Any, d: Any) -> tuple[Any, Any]:
        (s0, c0), (s1, c1) = first.backward(s[0], i[0], d[0]), second.backward(s[1], i[1], d[1])
        return (s0, s1), (c0, c1)

    source, target = first.source * second.source, first.target * second.target
    return DynamicLens(source, target, (first.start, second.start), forward, backward)


def _require(fault: str | None, what: str) -> None:
    if fault is not None:
        raise TypeError(f"{what} {fault}; expected sides that fit")


__all__ = ["DynamicLens", "compose", "identity", "parallel", "run", "step", "system", "wiring"]
