"""A rule of plasticity edge by edge in plain NumPy, from its texts, which Python itself reads."""

import numpy as np

from tests.laws.interpreter import value


class Edges:
    """Weights `w` (edges,) that one rule changes in steps of dt (ms), each edge with its own traces."""

    def __init__(self, rule, w, dt):
        self.rule, self.w, self.dt = rule, w, dt
        self.state = {x.name: np.zeros(len(w)) for x in (*rule.traces, *rule.eligibilities)}
        self.past = {t.name: [] for t in rule.traces if t.delay}  # newest last

    def step(self, k, pre, post, modulator, target=()):
        """Step k, from 1 on: `pre`, `post` spikes of each edge's source and target, the modulator per ms, each edge's
        target's variables by name."""
        rule, p = self.rule, self.rule.parameters
        fall = lambda tau: np.exp(-self.dt / p[tau]) if p[tau] > 0 else 0.0  # noqa: E731
        for t in (*rule.traces, *rule.eligibilities):
            if not getattr(t, "follows", ""):
                self.state[t.name] = self.state[t.name] * fall(t.tau)
        for t in rule.traces:
            if t.side == "modulator":
                self.state[t.name] = self.state[t.name] + self.dt * modulator
        names = {**p, "modulator": modulator, **dict(target)}
        for m in range(max(int(pre.max(initial=0)), 1)):  # several spikes of a source, one after the other
            self._event("pre", pre > m, names)
        self._event("post", post > 0, names)
        if rule.coincidence is not None and k > 1:
            x = self.state[rule.coincidence.trace]
            self._change(self.dt * x * value(rule.coincidence.of, {**names, **self._read()}))
        for t in rule.traces:
            if t.follows:
                goal = value(t.follows, {**names, **self.state})
                begins = k == 1 and any(name in t.follows for name in rule.reads)
                was = goal if begins else self.state[t.name]
                if t.delay:
                    self.past[t.name].append(was)
                self.state[t.name] = goal + (was - goal) * fall(t.tau)
        if rule.drift != "0" and k % round(rule.interval / self.dt) == 0:
            self._change(rule.interval * value(rule.drift, {**names, **self.state, "w": self.w}))

    def delivered(self, pre):
        """What `pre` spikes of each edge's source deliver in the next step, by the traces of then."""
        rule, p = self.rule, self.rule.parameters
        if rule.transmitted == "w":
            return pre * self.w
        now = {t.name: self.state[t.name] * (np.exp(-self.dt / p[t.tau]) if p[t.tau] > 0 else 0.0)
               for t in rule.traces if t.side == "pre"}  # fmt: skip
        total = np.zeros(len(self.w))
        for m in range(int(pre.max(initial=0))):
            names = {**p, **now, "w": self.w}
            total += (pre > m) * value(rule.transmitted, names)
            now = {t.name: np.where(pre > m, now[t.name] + value(t.jump, names), now[t.name])
                   for t in rule.traces if t.side == "pre"}  # fmt: skip
        return total

    def _read(self):
        """All variables, those with a delay as they were that long ago."""
        late = {}
        for t in self.rule.traces:
            if t.delay and self.past[t.name]:
                d = round(self.rule.parameters[t.delay] / self.dt)
                late[t.name] = [*self.past[t.name], self.state[t.name]][max(-1 - d, -1 - len(self.past[t.name]))]
        return {**self.state, **late}

    def _event(self, side, spikes, names):
        """Spikes change weights and eligibilities, then raise their own traces."""
        rule, names = self.rule, {**names, **self._read(), "w": self.w}
        self._change(spikes * value(getattr(rule, f"on_{side}"), names))
        for e in rule.eligibilities:
            self.state[e.name] = self.state[e.name] + spikes * value(getattr(e, f"on_{side}"), names)
        for t in rule.traces:
            if t.side == side and not t.follows:
                x = self.state[t.name]
                jumped = 1.0 if t.nearest else x + value(t.jump, names)
                self.state[t.name] = np.where(spikes, jumped, x)

    def _change(self, size):
        self.w = np.clip(self.w + size, *self.rule.bounds)
