"""A job: a network, what to record of it, and the words of its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier._results import Fields
from ranvier._text import plural

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ranvier.networks import EdgeList, Network

RADIUS = "spectral radius of the linearised coupling (unstable from 1 on)"


@dataclass(frozen=True)
class Job(Fields):
    """A network and what to say about it.

    `classes` is the order in which the page shows them, `glossary` explains their names. `facts` takes the
    rates (Hz) or mean voltages (mV), (N,), and tells how strong the coupling is, name -> text. `notes` say what was
    done or left out when the wiring was read.

    Examples
    --------
    >>> import ranvier as rv
    >>> edges = rv.EdgeList.build(["a", "b"], [0], [1], [3.0])
    >>> job = rv.brains.from_edges(edges, title="two neurons")
    >>> job.what
    'EIF neurons'
    """

    network: Network
    title: str
    what: str
    assumptions: tuple[str, ...]
    citations: tuple[str, ...]
    facts: Callable[[NDArray[np.float64]], dict[str, str]]
    record: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    glossary: str = ""

    @property
    def cautions(self) -> tuple[str, ...]:
        """The assumptions that what is found hangs on most, shown first: the signs, which no wiring diagram holds."""
        return tuple(text for text in self.assumptions if text.startswith("Signs: "))


def input_fractions(edges: EdgeList) -> NDArray[np.float64]:
    """(edges,) each weight over the sum of its target's absolute weights; 0 where that is 0."""
    total = np.bincount(edges.targets, weights=np.abs(edges.weights), minlength=edges.size)[edges.targets]
    return np.divide(edges.weights, total, out=np.zeros(len(edges)), where=total > 0)


def signs_in_words(signs: Mapping[str, int], edges: EdgeList, inhibitory: str) -> str:
    """Who inhibits, and that it is assumed, but where the wiring says it; `inhibitory` names them where the list would
    be long."""
    minus = [key for key, sign in signs.items() if sign < 0]
    none = [key for key, sign in signs.items() if sign == 0]
    listed = inhibitory or " and ".join(minus) if len(minus) < 3 else inhibitory or ", ".join(minus[:30])
    more = f" and {len(minus) - 30} more" if len(minus) > 30 and not inhibitory else ""
    negative = int((edges.weights < 0).sum())
    if negative and not signs:
        share = f"{negative} of {plural(len(edges), 'connection')}"
        return f"Signs: {share} inhibitory, by the wiring's own signs; all others excite."
    text = f"Signs: {listed}{more} inhibit, all others excite." if minus else "Signs: all neurons excite."
    if none:
        text += f" Without effect: {', '.join(none)}."
    if negative:
        text += " A negative weight turns its connection's sign."
    return text + " This is assumed, not measured; --signs sets it by class, neuron or transmitter."
