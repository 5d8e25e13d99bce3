"""Short texts of records that hold tensors."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from torch import Tensor

from ranvier._results import Fields


class Brief(Fields):
    """A record whose `repr` says of tensors what shape they have, and the value where it is one number."""

    def __repr__(self) -> str:
        parts = (f"{f.name}={_short(getattr(self, f.name))}" for f in fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(parts)})"


def _short(value: Any) -> str:
    if isinstance(value, Tensor):
        if value.numel() == 1:
            return f"{value.detach().reshape(()).item():.6g}"
        return f"<{' x '.join(map(str, value.shape))}>"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_short(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple | list):
        return f"[{len(value)} x {type(value[0]).__name__}]" if value else "[]"
    return repr(value)
