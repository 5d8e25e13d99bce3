"""Values of a JSON file that others wrote, each with the place where it stands: checked for its type before use."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ranvier._checks import nearest
from ranvier._names import identifier
from ranvier._text import printable

_LARGEST = 2**53  # whole numbers beyond have no place in JSON


class Entry:
    """One value of a JSON file.

    `place` says where it stands, as `populations[0].size`; every error begins with it: "PLACE is X; expected Y".
    """

    __slots__ = ("place", "value")

    def __init__(self, value: Any, place: str) -> None:
        self.value, self.place = value, place

    def refusal(self, expected: str) -> ValueError:
        """The error for a value that is something else."""
        return ValueError(f"{self.place} is {shown(self.value)}; expected {expected}.")

    def mapping(self, *keys: str, optional: Iterable[str] = ()) -> dict[str, Entry]:
        """The entries of an object, by key; with `keys` or `optional`, all of the former and none beside both."""
        if not isinstance(self.value, dict):
            raise self.refusal(f"an object {{...}} with {', '.join(keys)}" if keys else "an object {...}")
        known = (*keys, *optional)
        if known:
            for key in keys:
                if key not in self.value:
                    raise ValueError(f"{self.place} has no {key!r}; expected {', '.join(keys)}.")
            for key in self.value:
                if key not in known:
                    raise ValueError(f"{self.place} has the entry {shown(key)}; {nearest(key[:60], known)}")
        return {key: Entry(value, f"{self.place}.{_key(key)}") for key, value in self.value.items()}

    def items(self) -> Iterator[tuple[str, Entry]]:
        """The entries of an object whose keys are names: plain ASCII identifiers."""
        for key, entry in self.mapping().items():
            yield identifier(key, f"a name in {self.place}"), entry

    def listed(self) -> list[Entry]:
        """The entries of a list."""
        if not isinstance(self.value, list):
            raise self.refusal("a list [...]")
        return [Entry(value, f"{self.place}[{k}]") for k, value in enumerate(self.value)]

    def text(self) -> str:
        """Text."""
        if not isinstance(self.value, str):
            raise self.refusal("text")
        return self.value

    def texts(self) -> list[str]:
        """A list of texts."""
        return [entry.text() for entry in self.listed()]

    def name(self) -> str:
        """A plain ASCII identifier."""
        return identifier(self.text(), self.place)

    def one_of(self, known: Iterable[str]) -> str:
        """One of several words."""
        known = tuple(known)
        if self.text() not in known:
            raise ValueError(f"{self.place} is {shown(self.value)}; {nearest(self.value[:60], known)}")
        return self.value

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self.refusal("true or false")
        return self.value

    def number(self) -> float:
        """A number; NaN and infinities are for others to judge."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.refusal("a number")
        try:
            return float(self.value)
        except OverflowError:
            raise self.refusal("a number within the range of float64") from None

    def whole(self, low: int = 0, high: int = _LARGEST) -> int:
        """A whole number from `low` to `high`."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not low <= self.value <= high:
            raise self.refusal(f"a whole number from {low} to {high}")
        return self.value

    def vector(self, size: int) -> list[float]:
        """A list of `size` numbers."""
        if len(entries := self.listed()) != size:
            raise self.refusal(f"a list of {size} numbers")
        return [entry.number() for entry in entries]

    @property
    def absent(self) -> bool:
        """Whether it is null."""
        return self.value is None


def shown(value: Any) -> str:
    """A value of a JSON file in a few characters: as it stands there, cut where it is long."""
    if isinstance(value, dict | list) and value:
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**40:
        return "a number of more than 40 digits"
    text = printable(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _key(key: str) -> str:
    text = shown(key)[1:-1]
    return text if len(text) <= 40 else f"{text[:37]}..."


__all__ = ["Entry", "shown"]
