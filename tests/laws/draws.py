"""Parameters at which no error vanishes: neither 0 nor 1, nor whole numbers or multiples of a step."""

from __future__ import annotations

import zlib
from typing import Any

from ranvier.equations.declarations import declared


def uneven(part: Any) -> Any:
    """A neuron like this one whose positive parameters, but for voltages, are larger by 1 to 6 %, each by its own
    share: a time of 2 ms, say, becomes 2.0837."""
    values = dict(part.parameters)
    for name, record in declared(type(part)).items():
        value = values.get(name)
        bounded = record.above is not None or record.at_least is not None
        if bounded and record.unit != "mV" and isinstance(value, int | float) and value > 0:
            values[name] = value * (1.01 + 0.05 * (zlib.crc32(name.encode()) % 9973) / 9973)
    return type(part)(**values)
