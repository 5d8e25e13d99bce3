"""Quantities as text (`"20 ms"`), for files and the command line; inside, numbers are in the base units.

Base units: ms, mV, Hz, nS, pF, pA, MOhm. A bare number is taken as it is.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

_SCALES: dict[str, dict[str, float]] = {
    "ms": {"s": 1e3, "ms": 1.0, "us": 1e-3, "µs": 1e-3, "ns": 1e-6, "min": 6e4, "h": 3.6e6},
    "mV": {"V": 1e3, "mV": 1.0, "uV": 1e-3, "µV": 1e-3},
    "Hz": {"Hz": 1.0, "kHz": 1e3, "mHz": 1e-3},
    "nS": {"S": 1e9, "mS": 1e6, "uS": 1e3, "µS": 1e3, "nS": 1.0, "pS": 1e-3},
    "pF": {"nF": 1e3, "uF": 1e6, "µF": 1e6, "pF": 1.0},
    "pA": {"A": 1e12, "uA": 1e6, "µA": 1e6, "nA": 1e3, "pA": 1.0},
    "mV ms": {"mV ms": 1.0, "mV*ms": 1.0, "mV·ms": 1.0, "mV s": 1e3},
    "1": {"1": 1.0, "": 1.0},
}

_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*$")


def quantity(value: str | float, unit: str) -> float:
    """A number, or text such as `"20 ms"`, in the base unit `unit`.

    Raises ValueError if the text is no quantity, or its unit is not one of `unit`'s dimension.

    Examples
    --------
    >>> from ranvier.equations import quantity
    >>> quantity("0.02 s", "ms"), quantity(5.0, "ms")
    (20.0, 5.0)
    """
    if unit not in _SCALES:
        raise ValueError(f"unknown base unit {unit!r}; expected one of {', '.join(_SCALES)}")
    if not isinstance(value, str):
        return float(value)
    match = _QUANTITY.match(value)
    if match is None:
        raise ValueError(f"the value is {value!r}; expected a number and a unit of {unit}, such as '20 {unit}'")
    number, suffix = float(match[1]), match[2]
    scale = 1.0 if suffix == "" else _SCALES[unit].get(suffix)
    if scale is None:
        raise ValueError(
            f"there is {value!r}, whose unit {suffix!r} is none of {unit}; expected one of "
            f"{', '.join(u for u in _SCALES[unit] if u)}"
        )
    if not math.isfinite(number):
        raise ValueError(f"the value is {value!r}; expected a finite number")
    return number * scale


_PREFIXES = ("", "f", "p", "n", "u", "µ", "m", "c", "d", "k", "M", "G")
_BASES = ("V", "A", "S", "F", "s", "Hz", "Ohm", "M", "mol", "m", "g", "l", "K", "C", "J", "W", "bit", "rad")
#: units by themselves: plain numbers, and the unit of a plastic weight
_WHOLE = ("1", "weight", "min", "h", "degC", "%")
_FACTOR = re.compile(r"\s*([A-Za-zµ%]+|1)(?:\s*(?:\^|\*\*)\s*(-?\d+(?:\.\d+)?))?\s*")


def factors(unit: str) -> dict[str, Fraction]:
    """A unit as powers of its parts: `"mV/ms"` is {"mV": 1, "ms": -1}, `"1"` is {}.

    Parts are joined by `*`, `·`, `/` or a space; `mV^2`, `ms**-1`, `sqrt(ms)` are powers. Raises ValueError for
    anything else, as for a word that is no unit with an SI prefix.
    """
    powers: dict[str, Fraction] = {}
    text = re.sub(r"(?:√|sqrt)\(?([A-Za-zµ]+)\)?", r"\1^0.5", unit.replace("·", "*"))
    for k, group in enumerate(text.split("/")):
        for part in re.split(r"(?<!\*)\*(?!\*)|\s+(?=[A-Za-zµ])", group.strip()):
            match = _FACTOR.fullmatch(part)
            if match is None or not _known(match[1]):
                raise ValueError(
                    f"The unit is {unit!r}; expected one such as 'mV', 'ms', 'mV/ms', 'nS', '1/ms' or '1': units are "
                    "joined by * and /, and nothing else stands there."
                )
            if match[1] != "1":
                power = Fraction(match[2] or 1) * (1 if k == 0 else -1)
                powers[match[1]] = powers.get(match[1], Fraction(0)) + power
    return {name: power for name, power in powers.items() if power}


def _known(name: str) -> bool:
    return name in _WHOLE or any(name == p + b for p in _PREFIXES for b in _BASES)


def require_unit(unit: str) -> None:
    """Raise ValueError for text that is neither a unit nor empty."""
    if unit:
        factors(unit)
