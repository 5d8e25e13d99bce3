"""Classes of parameters: what a neuron, a synapse or a rule declares, and how values are checked against it."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from ranvier._names import identifier
from ranvier.equations.parameters import Parameter

#: what a parameter without a declaration is taken for by its name, or by what stands before its first _
UNDECLARED = {"tau": Parameter("ms", above=0.0)}

_RELATION = re.compile(r"\s*([A-Za-z]\w*)\s*(<=|<|!=)\s*([A-Za-z]\w*)\s*")
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "!=": lambda a, b: a != b,
}


def fields(model: type) -> tuple[str, ...]:
    """The names of a model's fields: parameters and options."""
    return tuple(f.name for f in dataclasses.fields(model))


def declared(model: type) -> dict[str, Parameter]:
    """The parameters of a model's class by name; a subclass inherits what it does not redeclare."""
    return _declared(model)


@cache
def _declared(model: Any) -> dict[str, Parameter]:
    return {f.name: _declaration(model, f) for f in dataclasses.fields(model) if not _is_text(model, f.name)}


def _declaration(model: type, field: dataclasses.Field[Any]) -> Parameter:
    if (own := _inherited(model, field.name, "parameter")) is not None:
        return own
    if field.name == getattr(getattr(model, "equations", None), "refractory", None):
        return Parameter("ms", at_least=0.0)
    by_name = getattr(model, "undeclared", UNDECLARED)
    for name in (field.name, field.name.partition("_")[0]):
        if name in by_name:
            return by_name[name]
    infinite = isinstance(field.default, float) and math.isinf(field.default)
    return Parameter(finite=not infinite)


def _options(model: type, name: str) -> tuple[str, ...]:
    return _inherited(model, name, "options") or ()


def _is_text(model: type, name: str) -> bool:
    """Whether a field is an option or a variable's name, not a number."""
    return bool(_options(model, name) or _inherited(model, name, "variable"))


def _inherited(model: type, name: str, key: str) -> Any:
    for base in model.__mro__:
        field = getattr(base, "__dataclass_fields__", {}).get(name)
        if field is not None and key in field.metadata:
            return field.metadata[key]
    return None


def describe(model: type) -> dict[str, Any]:
    """What a class declares, as plain JSON: the domains of its parameters, and its relations."""
    return {
        "declared": {name: record.describe() for name, record in declared(model).items()},
        "relations": list(getattr(model, "relations", ())),
    }


def body(
    declared: Mapping[str, Mapping[str, Any]], relations: Iterable[str], values: Mapping[str, Any]
) -> dict[str, Any]:
    """The inverse of `describe`: the part of a class's body that declares its parameters, with `values` as defaults."""
    records = {name: Parameter(**declared.get(name, {})) for name in values}
    return {
        "relations": tuple(relations),
        "__annotations__": dict.fromkeys(values, Any),
        **{name: dataclasses.field(default=x, metadata={"parameter": records[name]}) for name, x in values.items()},
    }


def declare(model: type, reserved: Iterable[str] = ()) -> None:
    """Check what a new class declares; its docstring gains the units and domains.

    Raises TypeError for parameters that are `reserved` names, and for relations of unknown ones.
    """
    if clash := set(reserved) & set(fields(model)):
        name = min(clash)
        raise TypeError(
            f"{model.__name__} has a parameter {name!r}, which means something else; expected another name: call "
            f"it {name}_."
        )
    known = declared(model)
    for text in getattr(model, "relations", ()):
        match = _RELATION.fullmatch(text)
        if match is None or not {match[1], match[3]} <= set(known):
            raise TypeError(
                f"{model.__name__} has the relation {text!r}; expected two of its parameters and one of <, <=, !=, "
                "such as 'V_reset < V_th'."
            )
    if vars(model).get("__doc__") and known and not model.__doc__.startswith(f"{model.__name__}("):  # type: ignore[union-attr]
        model.__doc__ = f"{model.__doc__.rstrip()}\n{_table(model)}"  # type: ignore[union-attr]


def _table(model: type) -> str:
    lines = ["", "    Parameters", "    ----------"]
    for field in dataclasses.fields(model):
        options = _options(model, field.name)
        default = repr(field.default) if options or field.default is None else f"{field.default}"
        if _inherited(model, field.name, "variable"):
            lines += [f"    {field.name} : name of a variable; default {field.default!r}"]
            continue
        if options:
            lines += [f"    {field.name} : one of {', '.join(map(repr, options))}; default {default}"]
            continue
        record = declared(model)[field.name]
        unit = "" if record.unit in ("", "1") or field.default is None else f" {record.unit}"
        doc = f"{record.doc}; " if record.doc else ""
        lines += [f"    {field.name} : default {default}{unit}", f"        {doc}{record.domain}"]
    return "\n".join(lines) + "\n    "


def require_parameters(
    model: Any, values: Mapping[str, Any], what: Callable[[str], str] | None = None, each: str = "neuron"
) -> None:
    """Raise ValueError where values (name -> number, array or tensor) leave a model's domains or relations.

    `what` gives the name of a parameter in the error; names that the model does not declare, and values
    that are no numbers (a `TimeSeries`, None), are left to others.
    """
    kind = model if isinstance(model, type) else type(model)
    name_of = what or (lambda name: f"{name} of {kind.__name__}")
    known = declared(kind)
    numbers = {name: x for name, x in values.items() if isinstance(x, int | float) or hasattr(x, "ndim")}
    for name, value in numbers.items():
        if name in known:
            known[name].require(value, name_of(name), each)
    for text in getattr(kind, "relations", ()):
        first, _, second = _RELATION.fullmatch(text).groups()  # type: ignore[union-attr]
        if first in numbers and second in numbers:
            unit = known[first].unit
            _require_relation(
                text, numbers[first], numbers[second], f"{name_of(first)} is {{:.9g}} {unit}",
                f"{name_of(second)} {{:.9g}} {unit}", each,
            )  # fmt: skip


def _require_relation(text: str, a: Any, b: Any, first: str, second: str, each: str) -> None:
    import numpy as np

    if getattr(a, "is_meta", False) or getattr(b, "is_meta", False):
        return
    a, b = np.broadcast_arrays(*(x.detach().cpu().double().numpy() if hasattr(x, "detach") else x for x in (a, b)))
    wrong = np.flatnonzero(~_COMPARE[_RELATION.fullmatch(text)[2]](a, b))  # type: ignore[index]
    if len(wrong):
        where = f" at {each} {wrong[0]}" if a.ndim else ""
        left, right = first.format(a.flat[wrong[0]]).rstrip(), second.format(b.flat[wrong[0]]).rstrip()
        raise ValueError(f"{left} and {right}{where}; expected {text}. Change one of them.")


def settle(model: Any) -> None:
    """Turn a new model's values into floats and tensors, and check them; called once, from `__post_init__`.

    Numbers become floats, lists and NumPy arrays float64 tensors; tensors stay as they are. Raises TypeError for what
    is no number, ValueError for values outside their domain.
    """
    kind = type(model)
    for field in dataclasses.fields(kind):
        value, what = getattr(model, field.name), f"{field.name} of {kind.__name__}"
        if options := _options(kind, field.name):
            if value not in options:
                raise ValueError(f"{what} is {value!r:.40}; expected one of {', '.join(map(repr, options))}.")
            continue
        if _inherited(kind, field.name, "variable"):
            identifier(value, what)
            continue
        if value is None and field.default is None:
            continue
        object.__setattr__(model, field.name, _plain(value, what, declared(kind)[field.name]))
    require_parameters(model, {f.name: getattr(model, f.name) for f in dataclasses.fields(kind)})


def _plain(value: Any, what: str, record: Parameter) -> Any:
    unit = f" in {record.unit}" if record.unit not in ("", "1") else ""
    kind = "" if value is None else f"{type(value).__name__} "
    error = TypeError(f"{what} is {kind}{value!r:.60}; expected a number{unit}, without a unit.")
    if hasattr(value, "interval") and hasattr(value, "values"):
        raise TypeError(
            f"{what} is a time series; expected a number{unit}: give what changes in time to the population, as "
            "net.add(rv.Poisson(), 100, rate=series)"
        )
    if isinstance(value, bool | str | bytes) or value is None:
        raise error
    if isinstance(value, int | float):
        return float(value)
    import numpy as np
    import torch

    if isinstance(value, torch.Tensor):
        if value.is_complex() or value.dtype == torch.bool:
            raise error
        whole = value.ndim == 0 and not value.requires_grad and not value.is_meta
        return float(value) if whole else value
    try:
        array = np.array(value, np.float64)
    except (TypeError, ValueError):
        raise error from None
    return float(array) if array.ndim == 0 else torch.from_numpy(array)


__all__ = [
    "body", "declare", "declared", "describe", "fields", "require_parameters", "settle",
]  # fmt: skip
