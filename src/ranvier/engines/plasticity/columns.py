"""Columns of the table of plastic synapses: one row a projection and delay, read by driver and kernels."""

(G_ROW, G_SWEEP, G_STEP, G_GROUPS, G_SOURCE, G_TARGET, G_DELAY, G_RING, G_POINTERS, G_ITEMS, G_WEIGHTS, G_SPLITS,
 G_SOURCES, G_COLUMNS, G_PRE, G_TIMES, G_EDGE, G_EDGES, G_LAYERS, G_RECORDS, G_POST, G_CONSTANTS, G_FLUSHED,
 G_EVERY, G_REPLAYS, G_MODULATOR, G_KIND, G_SERIES, G_SERIES_COLUMNS, G_INTERVAL, G_COUNT, G_POPULATION, G_WAIT,
 G_ORIGIN, G_WIDTH) = range(35)  # fmt: skip

#: where the modulator comes from
NOWHERE, SERIES, POPULATION = 0, 1, 2
