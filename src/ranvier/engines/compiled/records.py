"""The tables that the compiled loop reads: one declaration for whoever fills a table and for the loop.

Fields are numbers, places within the state's arrays (in numbers, not bytes), or addresses of arrays.
"""

from __future__ import annotations

from ranvier.codegen.records import at, record

#: what a population is
EQUATIONS, POISSON, GIVEN = range(3)

#: a run: addresses of the tables, of the state's arrays and of what is recorded, and sizes
RUN = record(
    "counter", "populations", "n_populations", "projections", "couplings", "backgrounds", "series", "series_values",
    "event_steps", "event_neurons", "x", "ring", "ring_columns", "ring_slots", "streams", "spares", "masks",
    "mask_columns", "probes", "n_probes", "probe_neurons", "samples", "spike_steps", "spike_neurons", "spike_room",
    "most_spikes", "normals", "fill_normals", "bytes",
)  # fmt: skip
#: kernel: of its step; start: first global index; x, mask, ring, stream, spare: where its numbers begin; normals: a
#: neuron and step; background, series, projection: its first row, and how many; events, spikes: of given ones; table,
#: rows, stride, base: of a Poisson source's counts
POPULATION = record(
    "kind", "kernel", "size", "padded", "start", "mask", "x", "ring", "stream", "normals", "spare", "background",
    "backgrounds", "series", "n_series", "projection", "projections", "events", "spikes", "table", "rows", "stride",
    "base",
)  # fmt: skip
#: code: of its delivery; ring: its port's column; rows, items, weights, delays, splits, constant: addresses, as in
#: `Synapses`; steps: the one delay; item_bytes: of a target
PROJECTION = record(
    "code", "ring", "rows", "items", "weights", "delays", "steps", "splits", "constant", "item_bytes"
)  # fmt: skip
#: Poisson spikes from outside: table, rows, stride, base as of a source; weights: one a neuron
BACKGROUND = record("code", "port", "stream", "table", "rows", "stride", "base", "weights")
#: a parameter that varies: its row among x, its first value, values a sample, steps a sample, samples
SERIES = record("row", "first", "columns", "interval", "count")
#: a probe's part in one population: variable's row, interval in steps, first neuron, neurons, first sample, and the
#: number of samples before this run
PROBE = record("population", "row", "interval", "neurons", "count", "out", "before")
#: continuous synapses: the tables below, the largest change left (mV), the code that transmits
COUPLING = record("links", "n_links", "senders", "changes", "transmit")
#: a continuous projection: addresses of V and its guess at the step's end, of inputs at both ends, and of synapses;
#: `_low`: second halves of pairs, or 0; first: of its port
LINK = record(
    "first", "v", "v_low", "guess", "guess_low", "start", "start_low", "end", "end_low", "rows", "items", "weights",
    "sources", "targets", "constants",
)  # fmt: skip
#: a population whose V goes out by continuous synapses: addresses; kernel 0: it does not
SENDER = record("kernel", "v", "v_low", "guess", "guess_low", "change")

run, population, projection, background, series, probe = map(
    at, (RUN, POPULATION, PROJECTION, BACKGROUND, SERIES, PROBE)
)
coupling, link, sender = map(at, (COUPLING, LINK, SENDER))
