"""Parameters of models: unit and domain of each, declared once beside its default."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from ranvier.equations.units import require_unit


@dataclass(frozen=True)
class Parameter:
    """What one number of a model may be: its unit, and its domain.

    `unit`: as `"ms"`, `"mV"`, `"1/ms"`, `"1"` for a plain number, "" where none is stated. The domain are the numbers
    `above`, `below`, `at_least` and `at_most` their bounds, all of them finite unless `finite=False`. `doc`: what the
    number is, for docstrings and errors.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.Parameter("ms", above=0.0).domain
    'above 0 ms'
    >>> rv.Parameter("ms", above=0.0).holds(-1.0)
    False
    """

    unit: str = ""
    doc: str = ""
    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    finite: bool = True

    def __post_init__(self) -> None:
        require_unit(self.unit)

    @property
    def domain(self) -> str:
        """The domain in words: "above 0 ms", "from 0 to 1", "any finite number"."""
        unit = f" {self.unit}" if self.unit not in ("", "1") else ""
        if self.at_least is not None and self.at_most is not None:
            return f"from {self.at_least:g} to {self.at_most:g}{unit}"
        words = []
        for bound, text in (
            (self.above, "above {:g}{}"), (self.at_least, "{:g}{} or above"),
            (self.below, "below {:g}{}"), (self.at_most, "{:g}{} or below"),
        ):  # fmt: skip
            if bound is not None:
                words.append(text.format(bound, unit))
        return " and ".join(words) or ("any finite number" if self.finite else "any number") + (unit and f" in{unit}")

    def holds(self, x: Any) -> Any:
        """Whether x lies in the domain: of a number a bool, of an array or tensor one for each entry."""
        good = abs(x) < math.inf if self.finite else x == x  # NaN differs from itself
        for bound, test in (
            (self.above, lambda b: x > b), (self.at_least, lambda b: x >= b),
            (self.below, lambda b: x < b), (self.at_most, lambda b: x <= b),
        ):  # fmt: skip
            if bound is not None:
                good = good & test(bound)
        return good

    def require(self, x: Any, what: str, each: str = "neuron") -> None:
        """Raise ValueError where x, a number, array or tensor, has an entry outside the domain.

        `what` names it in the error, as "tau_m of LIF"; `each` says what an entry belongs to.
        """
        if isinstance(x, int | float):
            if self.holds(x):
                return
            value, where = float(x), ""
        else:
            if getattr(x, "is_meta", False):
                return
            plain = x.detach() if hasattr(x, "detach") else x
            good = self.holds(plain)
            if bool(good.all()):
                return
            at = int((~good).reshape(-1).nonzero()[0][0])
            value = float(plain.reshape(-1)[at])
            where = f" at {each} {at}" if plain.ndim else ""
        unit = f" {self.unit}" if self.unit not in ("", "1") else ""
        if not math.isfinite(value):
            unit, remedy = "", "Look where it was computed."
        elif getattr(x, "requires_grad", False):
            remedy = "Clamp it after every step of the optimiser, or learn its logarithm."
        else:
            remedy = "Give one within that range."
        doc = f" ({self.doc})" if self.doc else ""
        expected = f"{'a number ' if self.domain.startswith(('above', 'below', 'from')) else ''}{self.domain}"
        raise ValueError(f"{what} is {value:.9g}{unit}{where}; expected {expected}{doc}. {remedy}")

    def describe(self) -> dict[str, Any]:
        """What `Parameter(**...)` takes, as plain JSON."""
        return {f.name: v for f in dataclasses.fields(self) if (v := getattr(self, f.name)) != f.default}


def parameter(
    default: Any,
    unit: str = "",
    doc: str = "",
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    finite: bool = True,
) -> Any:
    """Declare a parameter of a neuron, a synapse or a rule: default, unit, meaning and domain in one place.

        class LIF(rv.Neuron):
            tau_m: float = rv.parameter(20.0, "ms", "membrane time constant", above=0)

    `above`, `at_least`, `below`, `at_most` bound the domain; `finite=False` admits infinities. A plain
    `tau_m: float = 20.0` declares any finite number. Values outside the domain are refused wherever they are given:
    in the model, for a population, in a file, in a layer, and after a training step.
    Raises ValueError for a unit that is none.

    Examples
    --------
    >>> import ranvier as rv
    >>> class Cell(rv.Neuron):
    ...     equations = rv.Equations("dV/dt = -V/tau : mV")
    ...     tau: float = rv.parameter(20.0, "ms", "time constant", above=0)
    ...
    >>> try:
    ...     Cell(tau=-1.0)
    ... except ValueError as error:
    ...     print(error)
    ...
    tau of Cell is -1 ms; expected a number above 0 ms (time constant). Give one within that range.
    """
    record = Parameter(unit, doc, above, at_least, below, at_most, finite)
    return dataclasses.field(default=default, metadata={"parameter": record})


def option(*values: str) -> Any:
    """Declare a parameter that is one of several words; the first is the default.

    Examples
    --------
    >>> from ranvier.equations import option
    >>> option("area", "peak").default
    'area'
    """
    return dataclasses.field(default=values[0], metadata={"options": values})


def variable(default: str) -> Any:
    """Declare a parameter that is the name of a variable.

    Examples
    --------
    >>> from ranvier.equations import variable
    >>> variable("V").default
    'V'
    """
    return dataclasses.field(default=default, metadata={"variable": True})


__all__ = ["Parameter", "option", "parameter", "variable"]
