"""Arrays and text in a page's block of data: JSON that cannot end its element, arrays as base64."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike

from ranvier._text import printable

#: what would end the element, or a line of script; all have a spelling in JSON
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def packed(values: ArrayLike, kind: str = "f4") -> dict[str, str]:
    """Numbers as little-endian bytes in base64; kind: u1, i1, u2, i2, u4 or f4. Indices take u2 where they fit."""
    array = np.asarray(values)
    if kind == "index":
        kind = "u2" if array.max(initial=0) < 2**16 else "u4"
    return {"t": kind, "v": base64.b64encode(array.astype(f"<{kind}").tobytes()).decode()}


def scaled(values: ArrayLike) -> dict[str, Any]:
    """Numbers in steps of 1/32767 of the largest, −32768 for NaN: half of what single precision takes."""
    array = np.asarray(values, np.float64)
    limit = float(np.abs(array[np.isfinite(array)]).max(initial=0.0)) or 1.0
    steps = np.where(np.isfinite(array), np.rint(array / limit * 32767), -32768)
    return {**packed(steps, "i2"), "limit": limit}


def block(data: Any) -> Markup:
    """JSON for <script type="application/json">; text in it is as `printable` has it."""
    text = json.dumps(_clean(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_ESCAPES))


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {name: _clean(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(part) for part in value]
    return value
