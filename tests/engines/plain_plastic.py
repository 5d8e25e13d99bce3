"""A network with plastic synapses step by step in plain NumPy: every synapse has its own traces."""

import numpy as np

from tests.engines.plain import part_of
from tests.laws.plasticity import Edges


def simulate(net, dt, steps, modulator=None):
    """(spike steps, global neurons, {projection index: weights (edges,)}) of a noise-free network.

    modulator: projection index -> function of (step, spikes so far {step: {population: fired}}) -> value per ms.
    """
    parts = [part_of(net, p, dt) for p in net.populations]
    synapses = [Synapses(q, dt, parts[q.target.index].ports.index(q.synapse)) for q in net.projections]
    past = {0: [np.zeros(p.size, int) for p in net.populations]}
    due = {}  # (step, population, port) -> input
    spikes = []
    for k in range(steps):
        fired = []
        for p, part in zip(net.populations, parts, strict=True):
            inputs = [due.pop((k, p.index, port), np.zeros(p.size)) for port in range(len(part.ports))]
            fired.append(np.array(part.step(k, inputs), int))
            spikes += [(k + 1, p.start + i) for i in np.repeat(np.arange(p.size), fired[-1])]
        past[k + 1] = fired
        for s in synapses:  # what arrives at the end of this step is read in the next one
            key = (k + 1, s.q.target.index, s.port)
            at = due.setdefault(key, np.zeros(s.q.target.size))
            now = modulator[s.q.index](k + 1, past) if modulator and s.q.index in modulator else 0.0
            np.add.at(at, s.targets, s.step(k + 1, past, now, parts[s.q.target.index].V))
    steps_, neurons = np.array(sorted(spikes)).reshape(-1, 2).T
    return steps_, neurons, {s.q.index: s.w for s in synapses}


class Synapses:
    """One projection, edge by edge."""

    def __init__(self, q, dt, port):
        self.q, self.dt, self.port = q, dt, port
        self.sources, self.targets = (np.asarray(x) for x in q.edges())
        count = len(self.sources)
        self.w = np.broadcast_to(np.asarray(q.weight, np.float64), count).copy()
        self.delay = np.broadcast_to(np.rint(np.asarray(q.delay) / dt).astype(int), count)
        self.learning = None if q.plasticity is None else Edges(q.plasticity, self.w, dt)

    def step(self, k, past, modulator, V):
        """What is delivered at the end of step k, by the weights before they change."""
        earlier = k - self.delay
        arrived = np.array([past[max(e, 0)][self.q.source.index][s] for e, s in zip(earlier, self.sources)])
        post = past[k][self.q.target.index][self.targets]
        out = arrived * self.w if self.learning is None else self.learning.delivered(arrived)
        if self.learning is not None:
            self.learning.step(k, arrived, post, modulator, {"V": V[self.targets]})
            self.w = self.learning.w
        return out
