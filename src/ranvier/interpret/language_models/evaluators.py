"""Wide and deep networks of evaluators: many roles judge two answers, in layers (Zhang et al. 2023, arXiv:2308.01862).

A neuron of this network is a judge in a role. Judges are callables, so that a language model's client, a program or a
stub can be one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ranvier._checks import count, number
from ranvier._results import Fields


@dataclass(frozen=True)
class Review(Fields):
    """What a judge says: a score for each of two answers, in the order in which they were shown, and its reasons.

    >>> rv.interpret.Review((7.0, 5.0), "The first names its source.").scores
    (7.0, 5.0)
    """

    scores: tuple[float, float]
    text: str = ""


#: judge(question, first answer, second answer, role, reviews so far) -> Review
Judge = Callable[[str, str, str, str, Sequence[Review]], Review]


@dataclass(frozen=True)
class Evaluation(Fields):
    """Mean scores of the two answers, in the order in which the user gave them, each layer's means (layers, 2), the
    roles, and the number of calls and seconds that it took.
    Returned by `evaluate`.
    """

    scores: tuple[float, float]
    layers: np.ndarray
    roles: tuple[str, ...]
    calls: int
    seconds: float

    @property
    def preference(self) -> int:
        """1 or 2 for the better answer, 0 for a tie."""
        return 0 if self.scores[0] == self.scores[1] else 1 + int(self.scores[1] > self.scores[0])


def evaluate(
    judge: Judge,
    question: str,
    answers: tuple[str, str],
    roles: Sequence[str] | Callable[[str, tuple[str, str]], Sequence[str]],
    *,
    depth: int = 2,
    sees: Literal["neighbours", "all"] = "neighbours",
    swap: bool = True,
) -> Evaluation:
    """Score two answers by a network of judges.

    Layer 1 judges in each role alone. A judge of a further layer sees reviews of the layer before: its own and its
    neighbours' (one role on either side, as the authors' code does; the default), or everybody's (as their abstract
    says). The result is the mean over layers, roles and, with `swap`, both orders of the answers, so that what a judge
    adds to the answer that stands first cancels exactly where its scores are additive.

    Parameters
    ----------
    judge
        Called as judge(question, first, second, role, reviews).
    roles
        What each judge looks at; or a function of the question and the answers, by which a model makes them again for
        each sample.
    depth
        Layers; the paper finds two best.

    Raises
    ------
    ValueError
        where there is no role, and where a judge's scores are not finite.

    >>> def judge(question, first, second, role, reviews):  # the longer the better
    ...     return rv.interpret.Review((float(len(first)), float(len(second))))
    >>> result = rv.interpret.evaluate(judge, "Why?", ("Because.", "No."), ["clarity", "accuracy"])
    >>> result.scores, result.preference, result.calls  # 2 layers, 2 roles, both orders
    ((8.0, 3.0), 1, 8)
    """
    start = time.perf_counter()
    named = tuple(str(role) for role in (roles(question, answers) if callable(roles) else roles))
    if not named:
        raise ValueError("roles are none; expected what one judge at least should look at.")
    if sees not in ("neighbours", "all"):
        raise ValueError(f"sees is {sees!r}; expected 'neighbours' or 'all'.")
    depth, calls = count(depth, "depth", 1), 0
    table = np.zeros((depth, len(named), 2 if swap else 1, 2))
    for order in range(table.shape[2]):
        first, second = answers if order == 0 else answers[::-1]
        earlier: list[Review] = []
        for layer in range(depth):
            current = []
            for k, role in enumerate(named):
                shown = earlier if sees == "all" else earlier[max(0, k - 1) : k + 2]
                review = judge(question, first, second, role, tuple(shown))
                calls += 1
                pair = [number(score, f"a score of role {role!r:.40}") for score in review.scores]
                table[layer, k, order] = pair if order == 0 else pair[::-1]
                current.append(review)
            earlier = current
    layers = table.mean((1, 2))
    means = layers.mean(0)
    return Evaluation((float(means[0]), float(means[1])), layers, named, calls, time.perf_counter() - start)


__all__ = ["Evaluation", "Judge", "Review", "evaluate"]
