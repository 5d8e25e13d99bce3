"""A noise-free network step by step in plain NumPy: loops over neurons' equations written out by hand."""

import numpy as np
import scipy.linalg

import ranvier as rv


def simulate(net, dt, steps, watch=()):
    """(spike steps, global neurons, {population name: V (steps, size)}) of a noise-free network."""
    parts = [_part(net, p, dt) for p in net.populations]
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
    spikes, seen = [], {name: [] for name in watch}
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
            seen[name].append(parts[net[name].index].V.copy())
    steps_, neurons = np.array(sorted(spikes)).reshape(-1, 2).T
    return steps_, neurons, {name: np.array(v) for name, v in seen.items()}


def _part(net, p, dt):
    if isinstance(p.neuron, rv.SpikeTimes):
        return _Given(p, dt)
    ports = list(dict.fromkeys(q.synapse for q in net.projections if q.target is p))
    return _Neurons(p, ports, dt)


class _Given:
    ports = ()

    def __init__(self, p, dt):
        self.size = p.size
        self.steps = np.floor(p.neuron.times.numpy() / dt + 0.5 + 1e-9).astype(int) - 1
        self.neurons = p.neuron.neurons.numpy()

    def step(self, k, inputs):
        return np.bincount(self.neurons[self.steps == k], minlength=self.size)


class _Neurons:
    """V, w and, a port, the synapses' (s, r): s is the current or conductance, r feeds an alpha function."""

    def __init__(self, p, ports, dt):
        self.p, self.ports, self.dt = p.parameters, ports, dt
        self.kind = type(p.neuron).__name__
        ones = np.ones(p.size)
        start = p.initial.get("V", self.p.get("E_L", -65.0))
        self.V = ones * np.asarray(start)
        self.w = -13.0 * ones if self.kind == "Izhikevich" else 0.0 * ones
        self.syn = np.zeros((len(ports), 2, p.size))
        self.left = np.zeros(p.size, int)

    def step(self, k, inputs):
        free = self.left == 0
        held = self.V.copy()
        for port, (synapse, x) in enumerate(zip(self.ports, inputs, strict=True)):
            match synapse:
                case rv.Delta():
                    self.V = np.where(free, self.V + x, self.V)
                case rv.Exponential(tau=tau):
                    self.syn[port, 0] += x / tau
                case rv.Alpha(tau=tau):
                    self.syn[port, 1] += x / tau
                case rv.ExponentialConductance():
                    self.syn[port, 0] += x
        conductances = any(isinstance(s, rv.ExponentialConductance) for s in self.ports)
        if self.kind == "LIF":
            self.V, self.syn = (self._conducting if conductances else self._exact)()
        else:
            self._runge_kutta()
        self.V = np.where(free, self.V, held)
        fired = free & (self.p["V_th"] <= self.V)
        self.left = np.maximum(self.left - 1, 0)
        self.left[fired] = round(self.p.get("t_ref", 0.0) / self.dt)
        if self.kind == "Izhikevich":
            self.V[fired], self.w[fired] = self.p["c"], self.w[fired] + self.p["d"]
        else:
            self.V[fired] = np.broadcast_to(self.p["V_reset"], self.V.shape)[fired]
            self.w[fired] += self.p.get("b", 0.0)
        return fired

    def _filters(self):
        """The synapses' own linear system: s' = (r - s)/tau, r' = -r/tau."""
        out = np.zeros_like(self.syn)
        for port, synapse in enumerate(self.ports):
            if hasattr(synapse, "tau"):
                e = np.exp(-self.dt / synapse.tau)
                s, r = self.syn[port]
                out[port] = e * (s + r * self.dt / synapse.tau), e * r
        return out

    def _exact(self):
        """V and the currents by one matrix exponential, one column a port's s and r."""
        n = 1 + 2 * len(self.ports)
        A = np.zeros((n + 1, n + 1))  # the last column is the constant input
        tau_m = self.p["tau_m"]
        A[0, 0], A[0, n] = -1 / tau_m, 1 / tau_m
        for port, synapse in enumerate(self.ports):
            if hasattr(synapse, "tau"):
                s = 1 + 2 * port
                A[0, s] = 1 / tau_m
                A[s, s], A[s, s + 1], A[s + 1, s + 1] = -1 / synapse.tau, 1 / synapse.tau, -1 / synapse.tau
        constant = np.broadcast_to(self.p["E_L"] + np.asarray(self.p["drive"]), self.V.shape)
        y = np.vstack([self.V, self.syn.reshape(-1, len(self.V)), constant])
        new = scipy.linalg.expm(A * self.dt) @ y
        return new[0], new[1:n].reshape(self.syn.shape)

    def _conducting(self):
        """V with every conductance at its mean over the step, exactly: g has decayed from g to g e^(-dt/tau)."""
        new = self._filters()
        tau = np.array([s.tau for s in self.ports])[:, None]
        g = (self.syn[:, 0] - new[:, 0]) * tau / self.dt
        reversal = np.array([[s.E_rev] for s in self.ports])
        drift = self.p["E_L"] - self.V + self.p["drive"] + (g * (reversal - self.V)).sum(0) / self.p["g_L"]
        rate = (1 + g.sum(0) / self.p["g_L"]) / self.p["tau_m"]
        return self.V + drift / self.p["tau_m"] * -np.expm1(-rate * self.dt) / rate, new

    def _slope(self, V, w, syn):
        p = self.p
        current = p["drive"] + syn[:, 0].sum(0)
        if self.kind == "Izhikevich":
            dV, dw = 0.04 * V**2 + 5 * V + 140 - w + current, p["a"] * (p["b"] * V - w)
        else:
            psi = p["Delta_T"] * np.exp((V - p["V_T"]) / p["Delta_T"])
            adapting = self.kind == "AdEx"
            tau = p["C_m"] / p["g_L"] if adapting else p["tau_m"]
            dV = (p["E_L"] - V + psi + current - (w / p["g_L"] if adapting else 0)) / tau
            dw = (p["a"] * (V - p["E_L"]) - w) / p["tau_w"] if adapting else 0 * w
        dsyn = np.zeros_like(syn)
        for port, synapse in enumerate(self.ports):
            if hasattr(synapse, "tau"):
                dsyn[port] = (syn[port, 1] - syn[port, 0]) / synapse.tau, -syn[port, 1] / synapse.tau
        return dV, dw, dsyn

    def _runge_kutta(self):
        at = (self.V, self.w, self.syn)
        slopes = [self._slope(*at)]
        for share in (0.5, 0.5, 1.0):
            V, w, syn = (x + share * self.dt * k for x, k in zip(at, slopes[-1], strict=True))
            slopes.append(self._slope(np.minimum(V, self.p["V_th"]), w, syn))
        self.V, self.w, self.syn = (
            x + self.dt / 6 * (a + 2 * b + 2 * c + d) for x, a, b, c, d in zip(at, *slopes, strict=True)
        )
