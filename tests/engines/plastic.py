"""Networks with plastic synapses for the tests: noise-free, driven by given spikes, several delays."""

import numpy as np
import torch

import ranvier as rv
from ranvier import rules

DT, DURATION = 0.1, 90.0
RULES = {
    "additive": rules.STDP(A_plus=0.08, A_minus=0.06),
    "multiplicative": rules.STDP(A_plus=0.08, A_minus=0.06, mu_plus=1.0, mu_minus=1.0, tau_plus=9.0),
    "power": rules.STDP(A_plus=0.08, A_minus=0.06, mu_plus=0.3, mu_minus=0.5, w_min=-0.1, w_max=1.2),
    "nearest": rules.STDP(A_plus=0.08, A_minus=0.06, tau_minus=35.0, pairs="nearest"),
    "triplet": rules.TripletSTDP(A2_plus=0.03, A3_minus=0.02, A3_plus=0.05, A2_minus=0.04),
    "triplet_nearest": rules.TripletSTDP(A2_plus=0.03, A3_minus=0.02, A3_plus=0.05, A2_minus=0.04, pairs="nearest"),
    "inhibitory": rules.InhibitorySTDP(eta=0.03, target=20.0, w_max=1.0),
    "reward": rules.RewardSTDP(interval=2.5, tau_c=60.0, tau_d=30.0, A_plus=0.02, A_minus=0.01, baseline=0.05),
    "gated": rules.RewardSTDP(interval=1.0, tau_c=60.0, tau_d=0.0, A_plus=0.02, A_minus=0.015, w_max=1.0),
    "hebb": rules.Hebb(eta=0.02, decay=0.01, tau=12.0, interval=1.0),
    "oja": rules.Oja(eta=0.05, tau=15.0, interval=2.0),
    "voltage": rules.Clopath(A_LTD=0.02, A_LTP=0.03, theta_minus=-60.0, theta_plus=-57.0, delay=0.7, w_max=1.0),
    "bcm": rules.BCM(eta=0.05, tau=15.0, tau_theta=40.0, y_0=0.8, interval=1.0, w_max=2.0),
}


def series(columns=None):
    """A modulator that changes sign, per ms."""
    rng = np.random.default_rng(5)
    shape = (60,) if columns is None else (60, columns)
    return rv.TimeSeries(rng.normal(0.05, 0.1, shape), 2.5)


def network(rule, *, size=40, modulator=None, seed=3, delays=True):
    """Given trains onto neurons that are wired among themselves; every projection learns but one."""
    rng = np.random.default_rng(seed)
    count = round(30 * 0.08 * DURATION)  # 80 Hz each
    times, neurons = rng.uniform(0.1, DURATION, count), rng.integers(0, 30, count)
    trains = rv.SpikeTimes(torch.from_numpy(times), torch.from_numpy(neurons))
    net = rv.Network(seed=seed)
    src = net.add(trains, 30, name="src")
    cells = net.add(rv.LIF(t_ref=1.0), size, name="cells", drive=np.linspace(13.0, 17.0, size),
                    initial={"V": np.linspace(-64.0, -51.0, size)})  # fmt: skip
    sources, targets = rng.integers(0, 30, 400), rng.integers(0, size, 400)  # some of them twice
    inputs = modulator if rule.law.uses_modulator else None
    several = torch.from_numpy(rng.choice([0.3, 1.5, 1.6, 4.0], 400)) if delays else 1.5
    net.connect(src, cells, weight=torch.from_numpy(rng.uniform(0.2, 0.9, 400)), delay=several, modulator=inputs,
                edges=(sources, targets), synapse=rv.Delta(), plasticity=rule)  # fmt: skip
    net.connect(cells, cells, weight=0.5, delay=0.8, probability=0.3, modulator=inputs,
                synapse=rv.Exponential(tau=3.0), plasticity=rule)  # fmt: skip
    net.connect(cells, cells, weight=-0.4, delay=1.1, probability=0.3)
    return net
