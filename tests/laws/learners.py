"""What every `Learner` must keep; give it a `Case`: how it is made again, and batches that it can learn from."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tests.laws.readers import foreign


@dataclass(frozen=True)
class Case:
    """make(dtype) -> a learner, always the same one; batches(dtype) -> three batches of one task.

    measure: the metric that falls (or, with rises=True, rises) over `steps` rounds of the batches, by at least `change`
    of its first value; a learner that learns nothing stays where it is. spoil: makes a batch that must be refused.
    """

    kind: type
    make: Callable[[torch.dtype], Any]
    batches: Callable[[torch.dtype], list[Any]]
    measure: str = "loss"
    rises: bool = False
    rounds: int = 15
    change: float = 0.1
    #: precisions that it takes
    dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.float64)
    spoil: Callable[[Any], Any] = lambda batch: (batch[0] * float("nan"), *batch[1:])


def leaves(state: Any) -> list[Any]:
    """Tensors and values of a nested state, in order."""
    if isinstance(state, dict):
        return [leaf for value in state.values() for leaf in leaves(value)]
    if isinstance(state, list | tuple):
        return [leaf for value in state for leaf in leaves(value)]
    return [state]


def same(a: Any, b: Any) -> bool:
    """Whether two states agree to the bit."""
    pairs = zip(leaves(a), leaves(b), strict=True)
    return all(torch.equal(x, y) if isinstance(x, Tensor) else x == y for x, y in pairs)


def runs_may_be_cut_and_joined(case: Case, dtype: torch.dtype) -> None:
    """A learner that takes up another's state goes on as that one does, to the bit."""
    batches = case.batches(dtype)
    torch.manual_seed(1)
    whole, first = case.make(dtype), case.make(dtype)
    torch.manual_seed(5)
    expected = [whole.step(batch) for batch in batches]
    torch.manual_seed(5)
    assert first.step(batches[0]) == expected[0]
    state, randomness = copy.deepcopy(first.state_dict()), torch.get_rng_state()
    second = case.make(dtype)
    second.load_state_dict(state)
    torch.set_rng_state(randomness)
    assert [second.step(batch) for batch in batches[1:]] == expected[1:]
    assert same(second.state_dict(), whole.state_dict())


def spoilt(value: Any, path: str = "") -> Any:
    """(place, copy) of a nested state, one thing in it changed to what no learner can go on from."""
    if isinstance(value, dict):
        for key in value:
            yield f"{path}.{key} is missing", {k: v for k, v in value.items() if k != key}
            for place, item in spoilt(value[key], f"{path}.{key}"):
                yield place, {**value, key: item}
        yield f"{path} has more", {**value, "unknown": torch.ones(2)}
        yield f"{path} is a list", list(value.values())
    elif isinstance(value, list | tuple):
        for k, item in enumerate(value):
            for place, other in spoilt(item, f"{path}.{k}"):
                yield place, type(value)([*value[:k], other, *value[k + 1 :]])
        yield f"{path} is text", "text"
    elif isinstance(value, Tensor):
        yield f"{path} is text", "text"
        yield f"{path} has another shape", torch.ones(7, 3, 2, dtype=value.dtype)
        yield f"{path} has another dtype", value.to(torch.int16)
        if value.is_floating_point() and value.numel():
            yield f"{path} has a NaN", torch.full_like(value, torch.nan)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        for bad in ("text", float("nan"), None, [value], torch.ones(2)):
            yield f"{path} is {bad!r:.12}", bad


def a_spoilt_state_is_refused(case: Case, dtype: torch.dtype) -> None:
    """In words that name the place, with nothing changed; where a part may vary, the next step may be what refuses."""
    if dtype != case.dtypes[0]:
        return
    batches, trained = case.batches(dtype), case.make(dtype)
    for batch in batches[:2]:
        trained.step(batch)
    learner = case.make(dtype)
    learner.step(batches[0])
    before, taken = copy.deepcopy(learner.state_dict()), []
    variants = list(spoilt(copy.deepcopy(trained.state_dict())))
    for place, state in random.Random(0).sample(variants, min(40, len(variants))):
        try:
            learner.load_state_dict(state)
        except ValueError as error:
            assert "expected" in str(error) and "state" in str(error) and not foreign(str(error)), (place, error)
            assert same(before, learner.state_dict()), place
            continue
        try:
            learner.step(batches[2])
        except ValueError as error:
            assert "expected" in str(error) and not foreign(str(error)), (place, error)
        else:
            taken.append(place)
        learner.load_state_dict(before)
    # a state may lack what is made as it is needed, and hold options that are None for an optimizer to choose
    rest = [p for p in taken if not re.search(r"is missing|momentum_buffer|param_groups.*(foreach|fused)", p)]
    assert not rest, rest


def measuring_changes_nothing(case: Case, dtype: torch.dtype) -> None:
    learner = case.make(dtype)
    learner.step(case.batches(dtype)[0])
    before = copy.deepcopy(learner.state_dict())
    learner.evaluate(case.batches(dtype)[1])
    assert same(before, learner.state_dict())


def a_step_changes_what_is_learned(case: Case, dtype: torch.dtype) -> None:
    learner = case.make(dtype)
    before = copy.deepcopy(learner.state_dict())
    metrics = learner.step(case.batches(dtype)[0])
    assert not same(before, learner.state_dict())
    assert metrics["examples"] >= 1 and all(v == v and abs(v) < float("inf") for v in metrics.values())


def a_bad_batch_changes_nothing(case: Case, dtype: torch.dtype) -> None:
    learner = case.make(dtype)
    before = copy.deepcopy(learner.state_dict())
    for attempt in (learner.step, learner.evaluate):
        try:
            attempt(case.spoil(case.batches(dtype)[0]))
        except (ValueError, TypeError) as error:
            assert len(str(error)) > 20
        else:
            raise AssertionError(f"{attempt.__name__} took a batch that is spoilt")
    assert same(before, learner.state_dict())


def it_says_what_it_is_as_json(case: Case, dtype: torch.dtype) -> None:
    one, other = case.make(dtype).describe(), case.make(dtype).describe()
    assert json.loads(json.dumps(one)) == json.loads(json.dumps(other)) and one


def it_learns(case: Case, dtype: torch.dtype) -> None:
    """The measure changes by the share that the case states, over all its batches."""
    learner, batches = case.make(dtype), case.batches(dtype)

    def total() -> float:
        torch.manual_seed(9)
        return sum(learner.evaluate(batch)[case.measure] for batch in batches)

    first = total()
    for _ in range(case.rounds):
        for batch in batches:
            learner.step(batch)
    change = (total() - first) * (1 if case.rises else -1)
    assert change > case.change * abs(first), (first, total())


LAWS = [
    runs_may_be_cut_and_joined, measuring_changes_nothing, a_step_changes_what_is_learned, a_bad_batch_changes_nothing,
    it_says_what_it_is_as_json, a_spoilt_state_is_refused, it_learns,
]  # fmt: skip
