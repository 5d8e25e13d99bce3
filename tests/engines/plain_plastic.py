"""A network with plastic synapses step by step in plain NumPy: every synapse has traces of its own."""

import numpy as np
from plain import _part


def simulate(net, dt, steps, modulator=None):
    """(spike steps, global neurons, {projection index: weights (edges,)}) of a noise-free network.

    modulator: projection index -> function of (step, spikes so far {step: {population: fired}}) -> value per ms.
    """
    parts = [_part(net, p, dt) for p in net.populations]
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
            value = modulator[s.q.index](k + 1, past) if modulator and s.q.index in modulator else 0.0
            np.add.at(at, s.targets, s.step(k + 1, past, value))
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
        self.x, self.y, self.x2, self.y2, self.c, self.d, self.theta = np.zeros((7, count))

    def step(self, k, past, modulator):
        """What is delivered at the end of step k, by the weights before they change."""
        earlier = k - self.delay
        arrived = np.array([past[max(e, 0)][self.q.source.index][s] for e, s in zip(earlier, self.sources)])
        post = past[k][self.q.target.index][self.targets]
        out = arrived * self.w
        if self.q.plasticity is not None:
            self.learn(self.q.plasticity, k, arrived, post, modulator)
        return out

    def learn(self, rule, k, pre, post, modulator):
        p, dt = rule.parameters, self.dt
        kind = type(rule).__name__
        fall = lambda tau: np.exp(-dt / p[tau]) if p[tau] > 0 else 0.0  # noqa: E731
        paired = kind in ("STDP", "TripletSTDP", "RewardSTDP")
        self.x *= fall("tau_plus" if paired else "tau")
        self.y *= fall("tau_minus" if paired else "tau")
        if kind == "TripletSTDP":
            self.x2 *= fall("tau_x")
            self.y2 *= fall("tau_y")
        if kind == "RewardSTDP":
            self.c *= fall("tau_c")
            self.d = self.d * fall("tau_d") + dt * modulator if p["tau_d"] > 0 else 0 * self.d + modulator
        near = getattr(rule, "pairs", "all") == "nearest"
        low, high = p["w_min"], p["w_max"]
        for m in range(max(int(pre.max(initial=0)), 1)):
            self.arrive(p, kind, pre > m, near)
        up = mark_up = 0.0
        if kind == "STDP":
            up = p["A_plus"] * self.x * np.maximum((high - self.w) / (high - low), 0) ** p["mu_plus"]
        elif kind == "TripletSTDP":
            up = self.x * (p["A2_plus"] + p["A3_plus"] * self.y2)
        elif kind == "InhibitorySTDP":
            up = p["eta"] * self.x
        elif kind == "RewardSTDP":
            mark_up = p["A_plus"] * self.x
        self.w = np.clip(self.w + post * up, low, high)
        self.c = self.c + post * mark_up
        for name in ("y", "y2"):
            value = getattr(self, name)
            setattr(self, name, np.where(post, 1.0 if near else value + 1, value))
        if kind == "BCM":
            goal = self.y**2 / p["y_0"]
            self.theta = goal + (self.theta - goal) * fall("tau_theta")
        if kind in ("STDP", "TripletSTDP", "InhibitorySTDP") or k % round(rule.interval / dt):
            return
        slope = {
            "RewardSTDP": lambda: self.c * (self.d + p["baseline"]),
            "Hebb": lambda: p["eta"] * self.x * self.y - p["decay"] * self.w,
            "Oja": lambda: p["eta"] * self.y * (self.x - self.y * self.w),
            "BCM": lambda: p["eta"] * self.x * self.y * (self.y - self.theta),
        }[kind]()
        self.w = np.clip(self.w + rule.interval * slope, low, high)

    def arrive(self, p, kind, pre, near):
        """One spike of each source in `pre`."""
        low, high = p["w_min"], p["w_max"]
        down = mark_down = 0.0
        if kind == "STDP":
            down = -p["A_minus"] * self.y * np.maximum((self.w - low) / (high - low), 0) ** p["mu_minus"]
        elif kind == "TripletSTDP":
            down = -self.y * (p["A2_minus"] + p["A3_minus"] * self.x2)
        elif kind == "InhibitorySTDP":
            down = p["eta"] * (self.y - 2 * p["target"] / 1000 * p["tau"])
        elif kind == "RewardSTDP":
            mark_down = -p["A_minus"] * self.y
        self.w = np.clip(self.w + pre * down, low, high)
        self.c = self.c + pre * mark_down
        for name in ("x", "x2"):
            value = getattr(self, name)
            setattr(self, name, np.where(pre, 1.0 if near else value + 1, value))
