"""The table of plastic synapses, which loop and kernels read: a row a projection and delay."""

from __future__ import annotations

from ranvier.codegen.records import at, record

#: where the modulator comes from
NOWHERE, SERIES, POPULATION = range(3)

#: row, sweep, step: kernels; groups: rows of this projection in its first row, else 0; source, target: populations;
#: delay, back (of the target's spikes), every, interval, wait, origin: steps; ring: its port's column; columns: padded
#: targets; edges: of one eligibility; kind, series, series_columns, count, population: of the modulator; replays:
#: whether spikes of the target change synapses; single: whether several spikes of a source in a step are delivered one
#: by one; key: of what is left to chance; variables: of the targets; the others: addresses of the arrays of
#: `PlasticTables` and `PlasticState`
PLASTIC = record(
    "row", "sweep", "step", "groups", "source", "target", "delay", "ring", "rows", "items", "weights", "splits",
    "sources", "columns", "pre", "times", "eligibility", "edges", "layers", "records", "post", "constants", "flushed",
    "every", "replays", "modulator", "kind", "series", "series_columns", "interval", "count", "population", "wait",
    "origin", "single", "key", "back", "variables", "past",
)  # fmt: skip
#: bytes of a row
WIDTH = PLASTIC.itemsize

plastic = at(PLASTIC)
