"""Quantities as text (`"20 ms"`), for files and the command line; inside, numbers are in the base units.

Base units: ms, mV, Hz, nS, pF, pA, MOhm. A bare number is taken as it is.
"""

from __future__ import annotations

import math
import re

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
    """
    if unit not in _SCALES:
        raise ValueError(f"unknown base unit {unit!r}; expected one of {', '.join(_SCALES)}")
    if not isinstance(value, str):
        return float(value)
    match = _QUANTITY.match(value)
    if match is None:
        raise ValueError(f"found {value!r}, expected a number and a unit of {unit}, such as '20 {unit}'")
    number, given = float(match[1]), match[2]
    scale = 1.0 if given == "" else _SCALES[unit].get(given)
    if scale is None:
        raise ValueError(
            f"found {value!r}, whose unit {given!r} is not one of {unit}: "
            f"expected one of {', '.join(u for u in _SCALES[unit] if u)}"
        )
    if not math.isfinite(number):
        raise ValueError(f"found {value!r}, expected a finite number")
    return number * scale
