"""The tables that the event-driven loop reads; see `ranvier.engines.compiled.records`."""

from __future__ import annotations

from ranvier.codegen.records import at, record

#: a run. populations: sources and sizes, as of the stepping loop; parts, subs: the tables below; queue: spikes of the
#: last `queue_slots` steps, a region of `queue_columns` a step; regions: where each thread's begins; counts (slots,
#: threads, populations): how many there are; threads are those of all ranks, see `RUN`; totals (threads, 3): synaptic
#: events, visits and ties so far
LOOP = record(
    "counter", "sources", "populations", "n_populations", "parts", "subs", "queue", "queue_columns", "queue_slots",
    "regions", "counts", "totals", "probes", "n_probes", "probe_neurons", "samples", "spike_steps", "spike_neurons",
    "spike_room", "most_spikes", "leader", "local", "exchange", "failed",
)  # fmt: skip
#: a population with equations. kernel: visits its neurons; records: of `words` numbers each; lists (2, threads, size)
#: and list_counts (2, threads): whom each thread visits in even and in odd steps; fired: room for a bit a neuron and a
#: bit a word of those, `groups` words; free, held: powers of the step, up to `span` and `held_span`; horizon: steps
#: after which all is over; threshold, after, steps: one a neuron or one for all (stride 0), `after` of all states;
#: rest: fixed points (size, states); sub, subs: its projections by delay; start: first global index; bytes: of this row
PART = record(
    "kernel", "records", "words", "states", "ports", "size", "lists", "list_counts", "fired", "fired_groups",
    "threads", "coefficients", "free", "span", "horizon", "held", "held_span", "threshold", "threshold_stride", "after",
    "after_stride", "steps", "steps_stride", "rest", "rest_stride", "sub", "subs", "start", "bytes",
)  # fmt: skip
#: the synapses of one projection that share a delay. code: of its delivery; target: population; port: its word in a
#: record; delay: steps; rows, items, weights, table, splits: addresses
SUB = record("code", "target", "port", "delay", "rows", "items", "weights", "table", "splits")

loop, part, sub = map(at, (LOOP, PART, SUB))
