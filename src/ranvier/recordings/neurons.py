"""`Neurons`: who was recorded, and how surely that is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier._checks import labels, nearest, printable
from ranvier._results import Columns, spread

MOST_NEURONS = 10_000_000


@dataclass(frozen=True, eq=False)
class Neurons(Columns):
    """N recorded neurons: names, confidence in the names, and further columns.

    Parameters
    ----------
    names
        one a neuron; "" for a neuron without one
    confidence
        (N,), in the source's own scale; NaN where nothing is said
    columns
        name -> (N,): area, depth, quality ...

    Raises ValueError for columns of another length.

    >>> neurons = rv.recordings.Neurons(("AVAL", "", "AVAR"), columns={"depth": np.array([1.0, 2.0, 3.0])})
    >>> neurons.index("AVAR"), neurons.select(np.array([2])).columns["depth"].tolist()
    (2, [3.0])
    """

    names: tuple[str, ...]
    confidence: NDArray[np.float64] | None = None
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = labels(self.names, "the neurons' names", len(tuple(self.names))) or ()
        object.__setattr__(self, "names", names)
        confidence = np.full(len(names), np.nan) if self.confidence is None else np.array(self.confidence, np.float64)
        columns = {printable(str(k), "a column's name"): np.asarray(v) for k, v in dict(self.columns).items()}
        for name, column in (("confidence", confidence), *columns.items()):
            if column.shape[:1] != (len(names),):
                raise ValueError(f"{name} has shape {column.shape}; expected one value for each of "
                                 f"{len(names)} neurons")  # fmt: skip
        object.__setattr__(self, "confidence", confidence)
        object.__setattr__(self, "columns", columns)

    @classmethod
    def unnamed(cls, size: int) -> Neurons:
        """N neurons without names; ValueError for more than ten million, as an id taken for an index makes them."""
        if size > MOST_NEURONS:
            raise ValueError(f"neurons are numbered up to {size - 1}; expected at most {MOST_NEURONS}: number them "
                             "from 0")  # fmt: skip
        return cls(("",) * size)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which have a name, (N,)."""
        return np.array([bool(name) for name in self.names], bool)

    def index(self, name: str) -> int:
        """The place of the one neuron of that name; ValueError for an unknown or an ambiguous one."""
        places = [k for k, other in enumerate(self.names) if other == name]
        if not places:
            raise ValueError(f"no neuron is named {name!r}; {nearest(name, dict.fromkeys(filter(None, self.names)))}")
        if len(places) > 1:
            raise ValueError(f"neurons {', '.join(map(str, places))} are all named {name!r}; expected one: give its "
                             "index")  # fmt: skip
        return places[0]

    def select(self, places: NDArray[Any]) -> Neurons:
        """Those neurons alone, in that order."""
        places = np.asarray(places)
        columns = {name: column[places] for name, column in self.columns.items()}
        confidence = self.confidence
        return Neurons(tuple(self.names[k] for k in places), None if confidence is None else confidence[places],
                       columns)  # fmt: skip

    def __repr__(self) -> str:
        return f"Neurons({len(self)}, {int(self.labelled.sum())} named)"

    def _columns(self) -> dict[str, Any]:
        return {"name": self.names, "confidence": self.confidence, **spread(self.columns)}


__all__ = ["MOST_NEURONS", "Neurons"]
