"""The axes that a picture is drawn on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier._checks import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def axes_of(ax: Axes | None) -> Axes:
    """`ax`, or those of a new figure. Raises TypeError for something else, such as an array of axes."""
    from matplotlib import pyplot
    from matplotlib.axes import Axes

    if ax is None:
        return pyplot.subplots(layout="constrained")[1]
    if not isinstance(ax, Axes):
        raise TypeError(f"ax is {type(ax).__name__}; expected matplotlib Axes, such as plt.subplots()[1]")
    return ax


def array(values: Any) -> NDArray[Any]:
    """A tensor or array as NumPy's."""
    return np.asarray(values.detach().cpu().numpy() if hasattr(values, "detach") else values)


def colour(k: int) -> str:
    """The k-th colour of matplotlib's cycle."""
    return f"C{k % 10}"


def result_of(value: Any, *questions: str) -> None:
    """TypeError for what does not answer as a Recording or a Prediction does."""
    for question in questions:
        if isinstance(value, type) or not callable(getattr(value, question, None)):
            raise TypeError(
                f"result is {getattr(value, '__name__', type(value).__name__)}, which has no {question}(); expected a "
                "Recording, as of rv.simulate, or a Prediction, as of rv.predict"
            )


def span(start: float | None, stop: float | None, low: float, high: float) -> tuple[float, float]:
    """From `start` to `stop` in ms, by default all from `low` to `high`. Raises TypeError for no numbers, ValueError
    for NaN and for an end that does not lie after the beginning."""
    first = low if start is None else number(start, "start", "ms")
    last = high if stop is None else number(stop, "stop", "ms")
    if not first < last:
        raise ValueError(f"start is {first:g} ms and stop {last:g} ms; expected start < stop: the recording goes from "
                         f"{low:g} to {high:g} ms")  # fmt: skip
    return first, last
