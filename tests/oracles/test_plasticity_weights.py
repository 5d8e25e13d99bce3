"""The weights that Brian2 learnt from the same spikes, to rounding: python tests/oracles/brian2_plasticity.py."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier import rules

KNOWN = json.loads((Path(__file__).parent / "reference" / "plasticity.json").read_text("utf-8"))
DT = KNOWN["dt"]
RULES = {
    "additive": rules.STDP(A_plus=0.05, A_minus=0.06),
    "multiplicative": rules.STDP(A_plus=0.2, A_minus=0.3, mu_plus=1.0, mu_minus=1.0, tau_minus=30.0),
    "nearest": rules.STDP(A_plus=0.05, A_minus=0.06, pairs="nearest"),
    "triplet": rules.TripletSTDP(A2_minus=0.02, A3_minus=0.01, A2_plus=0.01, A3_plus=0.02, tau_y=125.0),
    "inhibitory": rules.InhibitorySTDP(eta=0.02, target=20.0, w_max=1.0),
}


@pytest.mark.parametrize("name", RULES)
def test_brian2_learns_the_same(name):
    x = {k: np.array(v) for k, v in KNOWN.items() if isinstance(v, list)}
    net = rv.Network()
    pre = net.add(rv.SpikeTimes(torch.from_numpy(x["pre_steps"] * DT), torch.from_numpy(x["pre"])), 12)
    # a teacher makes each target spike when it should: its spike takes a step to arrive and a step to act
    times = torch.from_numpy((x["post_steps"] - 2) * DT)
    teacher = net.add(rv.SpikeTimes(times, torch.from_numpy(x["post"])), 8)
    post = net.add(rv.LIF(E_L=0.0, V_th=0.9, V_reset=0.0, tau_m=1e6, t_ref=0.0), 8, initial={"V": 0.0})
    net.connect(teacher, post, weight=1.0, delay=DT, edges=(np.arange(8), np.arange(8)))
    # weights of nS on a neuron of next to no resistance: what is learnt does not make it spike
    p = net.connect(
        pre, post, weight=torch.from_numpy(x["start"]), delay=torch.from_numpy(x["delays"] * DT),
        edges=(x["sources"], x["targets"]), synapse=rv.Exponential(tau=1.0), plasticity=RULES[name],
    )  # fmt: skip
    recording = rv.simulate(net, KNOWN["steps"] * DT, dt=DT, dtype=torch.float64)
    mine = recording.neurons >= post.start
    spikes = np.stack([np.rint(recording.times[mine].numpy() / DT), recording.neurons[mine].numpy() - post.start])
    assert {tuple(s) for s in spikes.T.astype(int)} == set(zip(x["post_steps"], x["post"], strict=True))
    w, theirs = recording.weights[p].numpy(), np.array(KNOWN["weights"][name])
    assert np.abs(theirs - x["start"]).mean() > 0.05
    assert np.abs(w - theirs).max() < 1e-12
