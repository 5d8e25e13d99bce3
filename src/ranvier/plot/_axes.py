"""The axes that a picture is drawn on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

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
