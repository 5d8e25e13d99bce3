"""What an entry of the atlas is: a published system, its claims, and how each claim is made to fail."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas._film import Film

Verdict = Literal["reproduced", "refuted", "untested"]
Size = Literal["small", "full"]


@dataclass(frozen=True)
class AtLeast:
    """A claim's expected value that may be exceeded.

    >>> from ranvier.atlas import AtLeast
    >>> claim = rv.atlas.Claim("9 of 10 are right.", "Table 1", "right", AtLeast(0.9), 0.01, "its error", {"lr": 0})
    >>> claim.verdict({"right": 0.895}), claim.verdict({"right": 0.88})
    ('reproduced', 'refuted')
    """

    value: float


@dataclass(frozen=True)
class AtMost:
    """A claim's expected value that may be undercut.

    >>> from ranvier.atlas import AtMost
    >>> claim = rv.atlas.Claim("1 of 10 is wrong.", "Table 1", "wrong", AtMost(0.1), 0.01, "its error", {"lr": 0})
    >>> claim.verdict({"wrong": 0.105}), claim.verdict({"wrong": 0.12})
    ('reproduced', 'refuted')
    """

    value: float


@dataclass(frozen=True)
class Claim:
    """One checkable sentence of a paper.

    `metric` names a number that the experiment's `measure` returns. It is held against `expected`: a value,
    met within `tolerance` on both sides, or a bound (`AtLeast`, `AtMost`), met within `tolerance` on one.
    `tolerance` is in the metric's units, or names another metric that holds it (a sampling error, say);
    `origin` says where it comes from: the paper's error bar, the seeds' spread, the order of a scheme.
    `mutant` is a change of `measure`'s keyword arguments under which the claim must fail; it is really run.
    `ours`: the expected value comes from earlier runs of this entry, not from a paper or a law; such a claim guards
    against change, reproduces nothing, and is counted apart.
    `only` says what it takes to measure the claim where the small size of the tests does not: "full size", "MNIST".

    >>> claim = rv.atlas.Claim(
    ...     "The sum of two dice is 7 on average.", "law", "mean", 7.0, "error", "sampling error", {"dice": 1}
    ... )
    >>> claim.verdict({"mean": 7.02, "error": 0.05}), claim.verdict({"mean": 3.5, "error": 0.05})  # the mutant's
    ('reproduced', 'refuted')
    """

    text: str
    source: str
    metric: str
    expected: float | AtLeast | AtMost
    tolerance: float | str
    origin: str
    mutant: Mapping[str, Any]
    unit: str = ""
    ours: bool = False
    only: str = ""

    def __post_init__(self) -> None:
        for name in ("text", "source", "metric", "origin"):
            if not getattr(self, name).strip():
                raise ValueError(f"a claim's {name} is empty; expected a sentence or a name: {self!r}")
        if not self.mutant:
            raise ValueError(
                f"the claim {self.text!r} has no mutant; expected a change of measure() that breaks it"
            )
        if not isinstance(self.tolerance, str) and not 0 <= self.tolerance < math.inf:
            raise ValueError(f"the claim {self.text!r} has tolerance {self.tolerance}; expected it >= 0")

    def tolerance_in(self, metrics: Mapping[str, Any]) -> float | None:
        """The tolerance as a number, looked up in `metrics` where it is measured; None where it is not, at this size
        or without the data."""
        if isinstance(self.tolerance, str):
            bound = _metric(metrics, self.tolerance, self)
            return None if bound is None else float(bound)
        return float(self.tolerance)

    def verdict(self, metrics: Mapping[str, Any]) -> Verdict:
        """Judge what was measured; a metric of None (not measured at this size) leaves the claim untested."""
        measured = _metric(metrics, self.metric, self)
        if measured is None:
            return "untested"
        tolerance = self.tolerance_in(metrics)
        if tolerance is None:
            return "untested"
        match self.expected:
            case AtLeast(bound):
                holds = measured >= bound - tolerance
            case AtMost(bound):
                holds = measured <= bound + tolerance
            case value:
                holds = abs(measured - value) <= tolerance
        return "reproduced" if holds else "refuted"


@dataclass(frozen=True)
class Experiment:
    """A published system, in one file: what it claims, how that is measured, and pictures of it.

    `measure(seed, size, **changes)` returns a dict: its numbers are the metrics, kept with the results;
    anything else (arrays, recordings) is only handed on to the pictures. `size` is "small" (seconds, for
    tests) or "full". `pictures` maps a caption to a function of that dict which returns a matplotlib
    Figure, or a `Film`.

    >>> claim = rv.atlas.Claim("Two dice give up to 12.", "law", "most", 12, 0, "exact", {"dice": 1})
    >>> entry = rv.atlas.Experiment("dice", "Two dice", "none", (claim,), lambda seed, size, dice=2: {"most": 6 * dice})
    >>> claim.verdict(entry.measure(0, "small")), claim.verdict(entry.measure(0, "small", **claim.mutant))
    ('reproduced', 'refuted')
    """

    name: str
    title: str
    paper: str
    claims: tuple[Claim, ...]
    measure: Callable[..., dict[str, Any]]
    pictures: Mapping[str, Callable[[dict[str, Any]], Figure | Film]] = field(default_factory=dict)
    doi: str = ""
    summary: str = ""

    def __post_init__(self) -> None:
        if not self.name.replace("_", "").replace("-", "").isalnum() or self.name != self.name.lower():
            raise ValueError(
                f"an experiment's name is {self.name!r}; expected lower-case letters, digits, '-' and '_'"
            )
        if not self.claims:
            raise ValueError(f"the experiment {self.name!r} claims nothing; expected at least one Claim")
        object.__setattr__(self, "claims", tuple(self.claims))

    @property
    def group(self) -> str:
        """The folder of the atlas that the entry lies in; "other" for an entry of another package."""
        pieces = self.measure.__module__.split(".")
        return pieces[2] if pieces[:2] == ["ranvier", "atlas"] and len(pieces) == 4 else "other"


def _metric(metrics: Mapping[str, Any], name: str, claim: Claim) -> Any:
    if name not in metrics:
        raise ValueError(
            f"measure() returned {sorted(metrics)}, but the claim {claim.text!r} needs {name!r}; expected it, or "
            "None where it is not measured at this size"
        )
    return metrics[name]
