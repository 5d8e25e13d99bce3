"""Frozen records whose fields are given by name, made without any code from text.

`dataclasses.dataclass` writes `__init__`, `__repr__` and `__eq__` as source that holds the fields' names, and
compiles it. Models may be read from files, so theirs are methods of `Record` that look the fields up instead.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from ranvier._names import identifier, identifiers


class Record:
    """Base of models that are data: fields by keyword, frozen, printed as they are called.

    A subclass declares fields as a dataclass does, and `dataclasses.fields` and `replace` know them.
    `__post_init__` runs where there is one.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = inspect.get_annotations(cls)
        identifiers(own, f"a field of {identifier(cls.__name__.lstrip('_'), 'the name of a model')}")
        # with all of these off nothing is generated: only the fields are noted
        dataclasses.dataclass(init=False, repr=False, eq=False, match_args=False, kw_only=True)(cls)
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        cls.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(
                    f.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=inspect.Parameter.empty if f.default is dataclasses.MISSING else f.default,
                    annotation=f.type,
                )
                for f in fields
            ]
        )

    def __init__(self, **values: Any) -> None:
        name = type(self).__name__
        fields = {f.name: f for f in dataclasses.fields(self)}  # type: ignore[arg-type]
        for key in values:
            if key not in fields:
                raise TypeError(f"{name}() has no parameter {key!r}; expected one of {', '.join(fields) or 'none'}")
        for key, field in fields.items():
            if key in values:
                value = values[key]
            elif field.default is not dataclasses.MISSING:
                value = field.default
            elif field.default_factory is not dataclasses.MISSING:
                value = field.default_factory()
            else:
                raise TypeError(f"{name}() lacks the parameter {key!r}; expected it: give {name}({key}=...)")
            object.__setattr__(self, key, value)
        after = getattr(self, "__post_init__", None)
        if after is not None:
            after()

    def __setattr__(self, key: str, value: Any) -> None:
        raise dataclasses.FrozenInstanceError(
            f"cannot assign to {key!r} of a {type(self).__name__}; expected a new one: dataclasses.replace"
        )

    def __delattr__(self, key: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete {key!r} of a {type(self).__name__}")

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        values = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields if f.repr)
        return f"{type(self).__qualname__}({values})"


__all__ = ["Record"]
