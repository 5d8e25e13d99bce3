"""The tables that the compiled loop reads: one declaration for whoever fills a table and for the loop.

Fields are numbers, places within the state's arrays (in numbers, not bytes), or addresses of arrays.
"""

from __future__ import annotations

from ranvier.codegen.records import at, record

#: what a population is
EQUATIONS, POISSON, LISTED = range(3)

#: a run: addresses of the tables, of the state's arrays and of what is recorded, and sizes. Of several ranks: leader,
#: local: the first of this rank's threads among all, and how many; exchange: of what fetches the others' spikes of a
#: block, or 0; failed: of a number that is not 0 once that has failed.
#: resting: of a byte a tile, not 0 for one at its fixed point, or 0 where none is skipped
RUN = record(
    "counter", "populations", "n_populations", "projections", "couplings", "backgrounds", "series", "series_values",
    "x", "ring", "ring_columns", "ring_slots", "streams", "spares", "masks",
    "mask_columns", "probes", "n_probes", "probe_neurons", "samples", "spike_steps", "spike_neurons", "spike_room",
    "most_spikes", "normals", "fill_normals", "bytes", "leader", "local", "exchange", "failed",
    "resting",
)  # fmt: skip
#: kernel: of its step; start: first global index; x, mask, ring, stream, spare: where its numbers begin; normals: a
#: neuron and step; background, series, projection: its first row, and how many; events, event_neurons, spikes:
#: addresses of the steps and neurons of listed spikes, by step, then neuron, and their number; table,
#: rows, stride, base, interval, samples: of a Poisson source's counts, as in `PoissonTables`; rows_of_x, ports: of its
#: block and of the ring; rests: whether a step depends on its numbers and what arrives alone
POPULATION = record(
    "kind", "kernel", "size", "padded", "start", "mask", "x", "ring", "stream", "normals", "spare", "background",
    "backgrounds", "series", "n_series", "projection", "projections", "events", "event_neurons", "spikes", "table",
    "rows", "stride", "base", "interval", "samples", "rows_of_x", "ports", "rests",
)  # fmt: skip
#: code: of its delivery; ring: its port's column; rows, items, weights, delays, splits, constant: addresses, as in
#: `Synapses`; steps: the one delay; item_bytes: of a target
PROJECTION = record(
    "code", "ring", "rows", "items", "weights", "delays", "steps", "splits", "constant", "item_bytes"
)  # fmt: skip
#: Poisson spikes from outside: table ... samples as of a source; weights: one a neuron
BACKGROUND = record("code", "port", "stream", "table", "rows", "stride", "base", "interval", "samples", "weights")
#: a parameter that varies: its row among x, its first value, values a sample, steps a sample, samples
SERIES = record("row", "first", "columns", "interval", "count")
#: a probe's part in one population: variable's row, interval in steps, first neuron, neurons, first sample, and the
#: number of samples before this run
PROBE = record("population", "row", "interval", "neurons", "count", "out", "before")
#: continuous synapses: the tables below (junctions 0: none), the largest change left (mV), the step's length (ms), and
#: the code that agrees on a step, that transmits, and that solves for gap junctions
COUPLING = record("links", "n_links", "senders", "junctions", "changes", "dt", "agree", "transmit", "join")
#: a continuous projection but for gap junctions: addresses of V at the step's start, once what arrives has come, of its
#: guess at the end, of inputs at both ends, and of synapses; `_low`: second halves of pairs, or 0; first: of its port
LINK = record(
    "first", "begin", "begin_low", "guess", "guess_low", "start", "start_low", "end", "end_low", "rows", "items",
    "weights", "sources", "targets", "constants",
)  # fmt: skip
#: a population whose V is agreed on: addresses of it, at the step's start, its guess at the end; kernel 0: it is not
SENDER = record("kernel", "v", "v_low", "begin", "begin_low", "guess", "guess_low", "change")
#: gap junctions: cells, the tables of their populations and of B, as in `engines.junctions`, `terms` of the series, C/h
#: of each cell, room for fifteen numbers a cell, by what share a repetition changes the currents, sums of the series'
#: coefficients from a term on (one a function and term), and below what they do not matter
JUNCTION = record(
    "cells", "parts", "n_parts", "rows", "columns", "rates", "references", "series", "terms", "scales", "room",
    "share", "tails", "least"
)
#: a population's part of them: its first cell, cells, addresses as above, of its refractory steps (0: none are held)
#: and of what enters (0: it only sends)
PART = record(
    "first", "size", "begin", "begin_low", "guess", "guess_low", "refractory", "start", "start_low", "end", "end_low"
)

run, population, projection, background, series, probe = map(
    at, (RUN, POPULATION, PROJECTION, BACKGROUND, SERIES, PROBE)
)
coupling, link, sender, junction, part = map(at, (COUPLING, LINK, SENDER, JUNCTION, PART))
