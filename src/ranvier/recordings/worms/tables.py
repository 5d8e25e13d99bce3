"""The published tables of the nematode's activity (Simeon et al. 2024), a worm at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ranvier._checks import nearest
from ranvier._text import plural
from ranvier.recordings.neurons import Neurons
from ranvier.recordings.session import Session
from ranvier.recordings.signals import Signal

_KEYS = ("source_dataset", "worm", "neuron", "is_labeled_neuron")
_LARGEST = 2**31  # bytes of one worm's samples


class WormTables:
    """Calcium activity of the nematode from many laboratories in one format, published as Parquet: a row is a neuron of
    a worm, with all its samples (Simeon et al. 2024; on Hugging Face `qsimeon/celegans_neural_data`).

    Only names are read at first; a worm's samples when its session is requested. Earlier versions have 11 sets of data,
    later ones 12: `datasets` says which are there.

    Parameters
    ----------
    path
        a Parquet file, or a folder of them, which together are the table

    Raises FileNotFoundError where there is none, ImportError without pyarrow (`ranvier[tables]`), ValueError for
    files of another kind or without the columns source_dataset, worm, neuron and is_labeled_neuron.

    >>> import pyarrow, pyarrow.parquet
    >>> row = {"source_dataset": "Kato2015", "worm": "worm0", "neuron": "AVAL", "is_labeled_neuron": True,
    ...        "original_calcium_data": [0.1, 0.4, 0.2], "original_time_in_seconds": [0.0, 0.5, 1.0]}
    >>> pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), "worms.parquet")
    >>> tables = rv.recordings.WormTables("worms.parquet")
    >>> tables, tables.datasets
    (WormTables(1 dataset, 1 worm, 1 trace), {'Kato2015': ('worm0',)})
    >>> session = tables.session("Kato2015", "worm0")
    >>> session.neurons.names, session.activity.times.tolist()  # ms
    (('AVAL',), [0.0, 500.0, 1000.0])
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._data = _dataset(self.path)
        lost = [name for name in _KEYS if name not in self._data.schema.names]
        if lost:
            raise ValueError(
                f"{self.path} has no column {lost[0]!r}, but {', '.join(self._data.schema.names)[:200]}; expected the "
                f"published tables' columns: {', '.join(_KEYS)}"
            )
        names = _read(self._data, self.path, list(_KEYS[:2])).to_pydict()
        listed: dict[str, dict[str, None]] = {}
        for dataset, worm in zip(*names.values(), strict=True):
            if not (isinstance(dataset, str) and isinstance(worm, str)):
                raise ValueError(f"{self.path} has a row of dataset {dataset!r:.40}, worm {worm!r:.40}; expected texts")
            listed.setdefault(dataset, {})[worm] = None
        self._traces = len(names["worm"])
        #: dataset -> its worms, in the order of the table
        self.datasets: dict[str, tuple[str, ...]] = {dataset: tuple(worms) for dataset, worms in listed.items()}

    def __len__(self) -> int:
        """The number of worms."""
        return sum(map(len, self.datasets.values()))

    def __repr__(self) -> str:
        sizes = plural(len(self.datasets), "dataset"), plural(len(self), "worm"), plural(self._traces, "trace")
        return f"WormTables({', '.join(sizes)})"

    def session(self, dataset: str, worm: str, *, resampled: bool = False, smooth: bool = False) -> Session:
        """One worm's activity, a column a neuron, in the order of the table.

        Parameters
        ----------
        dataset, worm
            of `datasets`
        resampled
            the publishers' samples at .333 s; by default the recording's own, for `homogenise`
        smooth
            the traces that they smoothed

        Returns
        -------
        Session
            with names of the labelled neurons, "" for the others. The publishers scored each trace over the whole
            recording, so that its scale knows the future: `notes` say so.

        Raises ValueError for an unknown dataset or worm, a column that is not there, traces of unequal length, and
        times that do not increase.
        """
        if dataset not in self.datasets:
            raise ValueError(f"{self.path} has no dataset {dataset!r:.80}; {nearest(dataset, self.datasets)}")
        if worm not in self.datasets[dataset]:
            raise ValueError(f"{dataset} has no worm {worm!r:.80}; {nearest(worm, self.datasets[dataset])}")
        start = "" if resampled else "original_"
        values, times = f"{start}{'smooth_' * smooth}calcium_data", f"{start}time_in_seconds"
        for column in (values, times):
            if column not in self._data.schema.names:
                raise ValueError(f"{self.path} has no column {column!r}; {nearest(column, self._data.schema.names)}")
        rows = _read(self._data, self.path, ["neuron", "is_labeled_neuron", values, times], (dataset, worm))
        if rows.nbytes > _LARGEST:
            raise ValueError(f"{dataset}, {worm} holds {rows.nbytes >> 20} MiB; expected one worm's: at most 2048 MiB")
        where = f"{dataset}, {worm} of {self.path}"
        traces = [_numbers(x, values, where) for x in rows[values]]
        clocks = [_numbers(x, times, where) for x in rows[times]]
        for k, (trace, clock) in enumerate(zip(traces, clocks, strict=True)):
            if len(trace) != len(traces[0]) or not np.array_equal(clock, clocks[0]):
                raise ValueError(f"{where}: neuron {k} has other times than the first; expected one clock a worm")
        labels = rows["neuron"].to_pylist(), rows["is_labeled_neuron"].to_pylist()
        names = tuple(str(name) if known else "" for name, known in zip(*labels, strict=True))
        note = "each trace was scored over the whole recording by its publishers: its scale knows the future"
        activity = Signal(clocks[0] * 1000.0, np.column_stack(traces), source=where)
        return Session(activity=activity, neurons=Neurons(names), name=f"{dataset} {worm}", notes=(note,))

    def sessions(self, dataset: str, **options: bool) -> Iterator[Session]:
        """All worms of a dataset, one after the other; `options` as for `session`."""
        for worm in self.datasets.get(dataset, ("",)):
            yield self.session(dataset, worm, **options)


def _dataset(path: Path) -> Any:
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; expected a Parquet file, or a folder of them")
    try:
        import pyarrow as pa
        from pyarrow import dataset
    except ImportError:
        raise ImportError(
            f"{path} is Parquet, which pyarrow reads; expected that package: pip install 'ranvier[tables]'"
        ) from None
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise FileNotFoundError(f"{path} holds no file that ends in .parquet; expected those of the published tables")
    try:
        return dataset.dataset([str(file) for file in files], format="parquet")
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is no Parquet that can be read ({str(error)[:200]}); expected whole files") from None


def _read(data: Any, path: Path, columns: list[str], worm: tuple[str, str] | None = None) -> Any:
    import pyarrow as pa
    from pyarrow import compute

    chosen = None
    if worm is not None:
        chosen = (compute.field("source_dataset") == worm[0]) & (compute.field("worm") == worm[1])
    try:
        return data.to_table(columns=columns, filter=chosen, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read ({str(error)[:200]}); expected whole files: get them again") from None


def _numbers(cell: Any, column: str, where: str) -> Any:
    """A list of numbers, or of lists of one number, as an array; NaN where one is missing."""
    values = cell.values
    while values is not None and hasattr(values, "flatten") and str(values.type).startswith(("list", "large_list")):
        values = values.flatten()
    if values is None:
        raise ValueError(f"{where} lacks {column} of a neuron; expected a list of numbers")
    try:
        return values.to_numpy(zero_copy_only=False).astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{where} has {column} of {values.type}; expected numbers") from None


__all__ = ["WormTables"]
