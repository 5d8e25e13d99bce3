"""Shiu et al.'s model, spike for spike as Brian2 has it, and its rates: python tests/oracles/brian2_fly.py."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import ranvier as rv

KNOWN = json.loads((Path(__file__).parent / "reference" / "fly.json").read_text("utf-8"))
DT, NEURONS, DRIVEN = KNOWN["dt"], KNOWN["neurons"], KNOWN["driven"]
BRIAN2_LATE = 1  # Brian2 gives a spike the time at its step's beginning


def network(source, kind=rv.neurons.SynapticLIF):
    """The driven cells, which come first, lose only what arrives in the step after their spike."""
    x = {name: np.array(KNOWN[name]) for name in ("sources", "targets", "counts")}
    net = rv.Network()
    t_ref = torch.full((NEURONS,), 2.2, dtype=torch.float64)
    t_ref[:DRIVEN] = DT
    cells = net.add(kind(t_ref=t_ref), NEURONS, "cells")
    net.connect(
        cells, cells, weight=torch.from_numpy(x["counts"] * 0.275), delay=1.8, edges=(x["sources"], x["targets"]),
        synapse=rv.synapses.Jump(onto="g"),
    )  # fmt: skip
    bites = net.add(source, DRIVEN, "bites")
    net.connect(bites, cells, weight=68.75, delay=DT, edges=(np.arange(DRIVEN), np.arange(DRIVEN)))
    return net


def inputs():
    return rv.SpikeTimes(np.array(KNOWN["given_steps"]) * DT, np.array(KNOWN["given_cells"]))


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_every_spike_is_that_of_brian2(engine):
    duration = KNOWN["duration"] if engine == "compiled" else 60.0
    spikes = rv.simulate(network(inputs()), duration, dt=DT, dtype=torch.float64, engine=engine)
    mine = spikes.neurons < NEURONS
    steps = np.array(KNOWN["spike_steps"]) + BRIAN2_LATE
    until = steps <= round(duration / DT)
    assert np.array_equal(np.rint(spikes.times[mine].numpy() / DT).astype(int), steps[until])
    assert np.array_equal(spikes.neurons[mine].numpy(), np.array(KNOWN["spike_neurons"])[until])


@pytest.mark.parametrize("change", ["heard while refractory", "g kept at reset"])
def test_what_the_model_says_matters(change):
    """Mutants: each of the model's two rules changes the spikes."""
    like = rv.neurons.SynapticLIF.equations.describe()
    like |= {"holds": True} if change == "heard while refractory" else {"reset": "V = V_reset"}

    class Mutant(rv.neurons.SynapticLIF):
        equations = rv.Equations(**like)

    spikes = rv.simulate(network(inputs(), Mutant), KNOWN["duration"], dt=DT, dtype=torch.float64)
    count = int((spikes.neurons < NEURONS).sum())
    assert abs(count - len(KNOWN["spike_steps"])) > 0.03 * count


def test_rates_over_seeds_are_those_of_brian2():
    """Brian2 draws at most one event a step, with chance rate·dt: a Poisson source of −log(1 − rate·dt)/dt has one or
    more as often."""
    rate = -math.log(1 - 0.15 * DT) / DT * 1000
    net = network(rv.Poisson(rate))
    rates = np.array([rv.simulate(net, 1000.0, dt=DT, seed=s).rates()[:NEURONS].numpy() for s in range(24)])
    error = np.hypot(rates.std(0, ddof=1), KNOWN["rates_sd"]) / math.sqrt(24)
    z = (rates.mean(0) - KNOWN["rates"]) / np.maximum(error, 0.05)
    # 120 neurons: the largest of so many standard normals passes 4.5 once in 1200 times
    assert np.abs(z).max() < 4.5 and abs(rates.mean() / np.mean(KNOWN["rates"]) - 1) < 0.03
