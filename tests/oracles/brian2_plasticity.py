"""Weights that Brian2 learns from given spikes: run by its own Python, writes the reference.

.venv-peers/bin/python tests/oracles/brian2_plasticity.py
"""

import json
from pathlib import Path

PRE, POST, STEPS, DT = 12, 8, 8000, 0.1
ALL = "dx/dt = -x/({0}*ms) : 1 (event-driven)\ndy/dt = -y/({1}*ms) : 1 (event-driven)\n"
#: name -> (equations, on_pre, on_post); the update comes before the trace jumps, but nearest spikes set it
RULES = {
    "additive": (ALL.format(20, 20), "w = clip(w - 0.06*y, 0, 1)\nx += 1", "w = clip(w + 0.05*x, 0, 1)\ny += 1"),
    "multiplicative": (
        ALL.format(20, 30),
        "w = clip(w - 0.3*w*y, 0, 1)\nx += 1",
        "w = clip(w + 0.2*(1 - w)*x, 0, 1)\ny += 1",
    ),
    "nearest": (ALL.format(20, 20), "w = clip(w - 0.06*y, 0, 1)\nx = 1", "w = clip(w + 0.05*x, 0, 1)\ny = 1"),
    "triplet": (
        ALL.format(16.8, 33.7)
        + "dx2/dt = -x2/(101*ms) : 1 (event-driven)\ndy2/dt = -y2/(125*ms) : 1 (event-driven)\n",
        "w = clip(w - y*(0.02 + 0.01*x2), 0, 1)\nx += 1\nx2 += 1",
        "w = clip(w + x*(0.01 + 0.02*y2), 0, 1)\ny += 1\ny2 += 1",
    ),
    "inhibitory": (
        ALL.format(20, 20),
        "w = clip(w + 0.02*(y - 0.8), 0, 1)\nx += 1",
        "w = clip(w + 0.02*x, 0, 1)\ny += 1",
    ),
}


def main() -> None:
    import brian2 as b2
    import numpy as np

    b2.prefs.codegen.target = "numpy"
    rng = np.random.default_rng(0)

    def trains(count):
        free = np.arange(100, STEPS - 100)
        steps = np.concatenate([np.sort(rng.choice(free, 20, replace=False)) for _ in range(count)])
        return steps, np.repeat(np.arange(count), 20)

    (pre_steps, pre), (post_steps, post) = trains(PRE), trains(POST)
    sources, targets = (x.ravel() for x in np.meshgrid(np.arange(PRE), np.arange(POST)))
    delays = rng.choice([1, 15, 16, 40], len(sources))
    start = rng.uniform(0.2, 0.8, len(sources)).round(6)
    # some pairs coincide at the synapse
    for k in range(0, 40, 2):
        edge = int(rng.integers(len(sources)))
        chosen = np.flatnonzero(post == targets[edge])
        at = pre_steps[pre == sources[edge]][k % 20] + delays[edge]
        if not np.isin(at, post_steps[chosen]):
            post_steps[chosen[k % 20]] = at
    out = {}
    for name, (equations, on_pre, on_post) in RULES.items():
        b2.start_scope()
        b2.defaultclock.dt = DT * b2.ms
        a = b2.SpikeGeneratorGroup(PRE, pre, pre_steps * DT * b2.ms)
        b = b2.SpikeGeneratorGroup(POST, post, post_steps * DT * b2.ms)
        s = b2.Synapses(a, b, "w : 1\n" + equations, on_pre=on_pre, on_post=on_post)
        s.connect(i=sources, j=targets)
        s.w, s.delay = start, delays * DT * b2.ms
        b2.Network(a, b, s).run(STEPS * DT * b2.ms)
        out[name] = np.asarray(s.w).tolist()
    inputs = {"pre_steps": pre_steps, "pre": pre, "post_steps": post_steps, "post": post, "sources": sources,
             "targets": targets, "delays": delays, "start": start}  # fmt: skip
    about = {"version": f"Brian2 {b2.__version__}", "dt": DT, "steps": STEPS}
    value = about | {k: v.tolist() for k, v in inputs.items()} | {"weights": out}
    (Path(__file__).parent / "reference" / "plasticity.json").write_text(json.dumps(value) + "\n", "utf-8")


if __name__ == "__main__":
    main()
