"""Oracle of both engines: a noise-free network step by step in plain NumPy, from its equations' text; no model is
known by its name.

The schemes are re-derived by numbers: which variables form a linear system is seen from differences of the right-hand
side, whose matrix exponential advances them; the others go by exponential Euler where each is linear in itself, and
by Runge and Kutta's fourth-order method where not (docs/contracts.md, `ranvier.equations.integrators`).
"""

import numpy as np
import scipy.linalg

import ranvier as rv
from tests.laws.interpreter import Written, after, value


def simulate(net, dt, steps, watch=(), variables=None):
    """(spike steps, global neurons, {population name: V (steps, size)}) of a noise-free network; with `variables`,
    names of the neurons' own, (steps, variables, size)."""
    parts = [part_of(net, p, dt) for p in net.populations]
    buffer = {}  # (step, population, port) -> input
    fans = []  # a projection -> source -> [(target, weight, delay)]
    for q in net.projections:
        sources, targets = (np.asarray(x) for x in q.edges())
        weight = np.broadcast_to(np.asarray(q.weight, dtype=np.float64), len(sources))
        delay = np.broadcast_to(np.rint(np.asarray(q.delay) / dt).astype(int), len(sources))
        fan = [[] for _ in range(q.source.size)]
        for s, t, w, d in zip(sources, targets, weight, delay, strict=True):
            fan[s].append((t, w, d))
        fans.append((q, fan, parts[q.target.index].ports.index(q.synapse)))
    spikes, course = [], {name: [] for name in watch}
    for k in range(steps):
        for p, part in zip(net.populations, parts, strict=True):
            inputs = [buffer.pop((k, p.index, port), np.zeros(p.size)) for port in range(len(part.ports))]
            fired = np.asarray(part.step(k, inputs), int)
            for i in np.repeat(np.arange(p.size), fired):
                spikes.append((k + 1, p.start + i))
                for q, fan, port in fans:
                    if q.source is p:
                        for target, w, d in fan[i]:
                            at = (k + 1 + d, q.target.index, port)
                            buffer.setdefault(at, np.zeros(q.target.size))[target] += w
        for name in watch:
            part = parts[net[name].index]
            rows = 0 if variables is None else [part.names.index((None, v)) for v in variables]
            course[name].append(part.y[rows].copy())
    steps_, neurons = np.array(sorted(spikes)).reshape(-1, 2).T
    return steps_, neurons, {name: np.array(v) for name, v in course.items()}


def part_of(net, p, dt):
    """The stepper of a population: `step(k, inputs) -> fired`, `ports` its synapses."""
    if isinstance(p.neuron, rv.SpikeTimes):
        return Listed(p, dt)
    ports = list(dict.fromkeys(q.synapse for q in net.projections if q.target is p))
    return Neurons(p, ports, dt)


class Listed:
    ports = ()

    def __init__(self, p, dt):
        self.size = p.size
        self.steps = np.floor(p.neuron.times.numpy() / dt + 0.5 + 1e-9).astype(int) - 1
        self.neurons = p.neuron.neurons.numpy()

    def step(self, k, inputs):
        return np.bincount(self.neurons[self.steps == k], minlength=self.size)


class Neurons:
    """y (variables, size): the neuron's own, then those of each port's synapse."""

    def __init__(self, p, ports, dt):
        self.ports, self.dt, self.size = ports, dt, p.size
        self.p = {"noise": 0.0, **{k: np.asarray(x, np.float64) for k, x in p.parameters.items()}}
        equations = p.neuron.equations
        self.written, self.refractory = Written(equations), equations.refractory
        self.synapses = [None if s.equations is None else Written(s.equations) for s in ports]
        self.names = [(None, n) for n in (*self.written.slope_texts, *equations.event_texts)]
        self.names += [(k, n) for k, w in enumerate(self.synapses) if w is not None for n in w.slope_texts]
        start = {**p.neuron.initial, **p.initial}
        holds = [n.strip() for n in equations.holds.split(",")] if isinstance(equations.holds, str) else []
        self.held = [i for i, (port, n) in enumerate(self.names) if port is None and n in holds]
        self.held = [0] if equations.holds is True else self.held
        self.y = np.zeros((len(self.names), p.size))
        for i, (port, name) in enumerate(self.names):
            x = start.get(name, 0.0) if port is None else 0.0
            self.y[i] = self.p[x] if isinstance(x, str) else np.asarray(x)
        self.jumps = [{n: value(str(e), dict(s.parameters)) for n, e in s.jump_sizes().items()} for s in ports]
        self.left = np.zeros(p.size, int)
        self.ceiling = self.p.get("V_th", np.inf) if equations.threshold_text == "V >= V_th" else np.inf
        self.linear, self.method = self._method(p.method)
        self.matrix = None

    @property
    def V(self):
        return self.y[0]

    def slopes(self, y):
        """dy/dt (variables, size)."""
        own = {n: y[i] for i, (port, n) in enumerate(self.names) if port is None}
        I, out = 0.0, {}
        for k, synapse in enumerate(self.ports):
            mine = {n: y[i] for i, (port, n) in enumerate(self.names) if port == k}
            values = {**synapse.parameters, **mine, "V": y[0], "g_L": self.p.get("g_L", np.nan)}
            I = I + value(synapse.current, values)
            if self.synapses[k] is not None:
                out |= {(k, n): x for n, x in self.synapses[k].slopes(values).items()}
        out |= {(None, n): x for n, x in self.written.slopes({**self.p, **own, "I": I}).items()}
        return np.array([np.broadcast_to(out.get(name, 0.0), (self.size,)) for name in self.names])

    def _jacobian(self, y):
        base = self.slopes(y)
        columns = [self.slopes(y + np.eye(len(y))[j][:, None]) - base for j in range(len(y))]
        return np.stack(columns, 1)  # (variable, by which, size)

    def _method(self, method):
        """(which variables form a closed linear system, how the others go)."""
        rng, n = np.random.default_rng(0), len(self.names)
        # two ways up: of a function that is linear in x both give one slope, of another they differ
        start = self.y[1:].mean(1)
        low, high = np.array([-70.0, *start + 0.1]), np.array([-50.0, *start + 1.0])
        points = rng.uniform(low[:, None], high[:, None], (4, n, self.size))
        J = np.array([self._jacobian(y) for y in points])
        scale = 1e-9 * (1 + np.abs(J).max((0, 3)))
        uses, constant = np.abs(J).max((0, 3)) > scale, np.ptp(J, 0).max(-1) < scale
        linear = set(range(n))
        while True:
            saved = {i for i in linear if all(constant[i, j] and j in linear for j in range(n) if uses[i, j])}
            if saved == linear:
                break
            linear = saved
        if method is None:
            outside = [i for i in range(n) if i not in linear]
            alone = all(self._linear_in_itself(i, points[0]) for i in outside)
            method = "exact" if not outside else "exponential_euler" if alone else "rk4"
        return ([] if method == "rk4" else sorted(linear)), method

    def _linear_in_itself(self, i, y):
        up = np.zeros_like(y)
        up[i] = 1.0
        f = [self.slopes(y + k * up)[i] for k in range(3)]
        return np.allclose(f[2] - f[1], f[1] - f[0], rtol=1e-9, atol=1e-12)

    def step(self, k, inputs):
        free = self.left == 0
        for port, x in enumerate(inputs):
            if isinstance(self.ports[port], rv.Delta | rv.synapses.Jump):
                onto = getattr(self.ports[port], "onto", "V")
                i = 0 if onto == "V" else self.names.index((None, onto))
                self.y[i] = np.where(free | (i not in self.held), self.y[i] + x, self.y[i])
            for name, size in self.jumps[port].items():
                self.y[self.names.index((port, name))] += size * x
        before = self.y[self.held].copy()
        self.y = self._runge_kutta(self.y) if self.method == "rk4" else self._exponential(self.y)
        self.y[self.held] = np.where(free, self.y[self.held], before)
        values = {**self.p, **{n: self.y[i] for i, (port, n) in enumerate(self.names) if port is None}}
        above = self.written.threshold is not None and value(self.written.threshold, values)
        fired = free & np.broadcast_to(above, (self.size,))
        self.left = np.maximum(self.left - 1, 0)
        if self.refractory is not None:
            steps = np.broadcast_to(np.rint(self.p[self.refractory] / self.dt).astype(int), (self.size,))
            self.left[fired] = steps[fired]
        values |= {"dt": self.dt}
        occurred = [np.broadcast_to(value(text, values), (self.size,)) for _, text, _ in self.written.events]
        values = self._changed(values, self.written.reset_text, fired)
        for where, (name, _, text) in zip(occurred, self.written.events, strict=True):
            values = self._changed(values, f"{text}\n{name} += 1", where)
        return fired

    def _changed(self, values, text, where):
        """The values with statements made at neurons `where`; the variables among them are written into y."""
        new = after(text, values)
        for i, name in ((i, n) for i, (port, n) in enumerate(self.names) if port is None):
            self.y[i] = np.where(where, new[name], values[name])
            values = values | {name: self.y[i]}
        return values

    def _exponential(self, y):
        """The linear part by its matrix exponential; others as if it stood at its mean, the rest still.

        The mean over the step is exact for variables that nothing drives, and half the sum of both ends for others.
        """
        new, S = y.copy(), self.linear
        if S and self.matrix is None:
            A, b = self._jacobian(y)[np.ix_(S, S)], self.slopes(np.zeros_like(y))[S]
            full = np.zeros((self.size, len(S) + 1, len(S) + 1))
            full[:, :-1, :-1], full[:, :-1, -1] = A.transpose(2, 0, 1), b.T
            m = len(S) + 1
            double = np.zeros((self.size, 2 * m, 2 * m))  # its exponential's corner is the integral of the first one's
            double[:, :m, :m], double[:, :m, m:] = full, np.eye(m)
            whole = scipy.linalg.expm(double * self.dt)
            self.matrix, self.mean = whole[:, :m, :m], whole[:, :m, m:] / self.dt
        during = y.copy()
        if S:
            column = np.vstack([y[S], np.ones(self.size)]).T[..., None]
            new[S] = (self.matrix @ column)[:, :-1, 0].T
            driven = (self.matrix[:, :-1, -1] != 0).T
            during[S] = np.where(driven, (y[S] + new[S]) / 2, (self.mean @ column)[:, :-1, 0].T)
        y = during
        f = self.slopes(y)
        for i in (i for i in range(len(y)) if i not in S):
            up = y.copy()
            up[i] += 1.0
            rate = (self.slopes(up)[i] - f[i]) * self.dt
            growth = np.where(rate == 0, 1.0, np.expm1(rate) / np.where(rate == 0, 1.0, rate))
            new[i] = y[i] + self.dt * growth * f[i]
        return new

    def _runge_kutta(self, y):
        slopes = [self.slopes(y)]
        for share in (0.5, 0.5, 1.0):
            at = y + share * self.dt * slopes[-1]
            at[0] = np.minimum(at[0], self.ceiling)
            slopes.append(self.slopes(at))
        a, b, c, d = slopes
        return y + self.dt / 6 * (a + 2 * b + 2 * c + d)
