"""What `fit` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ranvier._results import Columns, frame

if TYPE_CHECKING:
    import pandas


class History(list[dict[str, float]], Columns):
    """Mean metrics of each epoch, dicts in their order; in a notebook a table, which `rv.plot.training` draws.

    >>> from ranvier.learners import History
    >>> history = History([{"loss": 2.0}, {"loss": 1.0, "accuracy": 0.5}])
    >>> history[-1]["loss"], history.to_pandas().index.tolist()
    (1.0, [1, 2])
    """

    def _columns(self) -> dict[str, Any]:
        names = dict.fromkeys(name for metrics in self for name in metrics)
        columns = {name: [metrics.get(name, float("nan")) for metrics in self] for name in names}
        return {"epoch": range(1, len(self) + 1), **columns}

    def to_pandas(self) -> pandas.DataFrame:
        """A row an epoch, counted from 1; NaN for what an epoch lacks. Raises ImportError without pandas."""
        return frame(self._columns(), index="epoch")


__all__ = ["History"]
